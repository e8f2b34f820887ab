"""One request in a cluster, from its arrival at a node to its answer.

    run here ---> an answer ---> does it rely on this node's leading?
      |   ^                        no: it leaves        yes: does this node surely still lead? ---> it leaves
      |   |                                                        |
      |   +---- run again, with what was confirmed <--- a quorum confirms it ---- not sure
      |
      +---> Elsewhere ---> passed on, whole, to who can answer it ---> its answer leaves, byte for byte

The one choke point for leases: whatever asks a partition something that only a leader may say leaves a note there
(remote/hosted.py, `Relied`), and every answer passes here. The lease is looked at after the answer was computed and
before it leaves. Story: 1. n1 leads and reads item k. 2. Its process is stopped for ten seconds (a VM moves). 3. n2 is
elected and writes k. 4. n1 goes on and answers what it has read. Looked at between 1 and 2 the lease is good; looked at
between 4's reading of the clock and the answer, it is not.

An answer that says that something was written needs no lease: what it tells of was chosen by a quorum, in the ballot
in which it was evaluated. Nor is such a request ever run again. What is only in part about that (a batch of which one
delete has found nothing) needs a lease for the rest: it waits until a quorum confirms that this node has led all the
time, in the same ballot, and leaves as it is; else nobody knows.

A confirmed leader need not have a lease: what is read after a quorum has confirmed it is right (read-index). So what
was confirmed is not asked for again when the request is run the second time.

Source: docs of Raft, section 6.4 (read-index, leases); Amazon DynamoDB (ATC 2022), section 3.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from varley.errors import ApiError, InternalServerError, NotLeading, ServiceUnavailable
from varley.http.call import Call
from varley.node.elsewhere import Elsewhere, Need
from varley.remote.hosted import Lead, Relied
from varley.remote.peers import Peers, unreached

if TYPE_CHECKING:
    from varley.gateway.gateway import Gateway

# What is proposed for them is one entry, or none; of a transaction, one that is not done again, if it has a token, or
# never told to be surely not done (transactions/drive.py).
_SINGLE: Final = frozenset(
    ("DeleteItem", "ExecuteStatement", "ExecuteTransaction", "PutItem", "TransactWriteItems", "UpdateItem")
)

_RUNS_MAX: Final = 40    # of one request: each but the first follows a change of leaders

# What is proposed for them is proposed later than they are run, perhaps, and on other nodes: no success is run again.
_TRANSACTIONS: Final = frozenset(("TransactWriteItems", "ExecuteTransaction"))

_Leads = dict[int, tuple[Lead, int]]    # group -> its partition, and the ballot in which this node led it


class Asked(Call):
    """What operations get in place of the Call that the front door has made."""

    __slots__ = ("_call", "_confirmed", "_gateway", "_relied", "_runs", "about", "elsewhere")

    about: int | None
    elsewhere: Peers | None

    def __init__(self, call: Call, gateway: Gateway, *, is_forwarded: bool) -> None:
        super().__init__(call._connection, call.operation, call.body, call.headers, call.authorization, call.started)
        self.query = call.query
        self.about = call.about
        self._call = call
        self._gateway = gateway
        # Who is asked for parts of it. None: it was passed on already, and is not taken apart once more.
        self.elsewhere = None if is_forwarded else gateway.peers
        self._relied = Relied()
        self._confirmed: set[int] = set()    # groups that this node leads, as a quorum has said since it arrived
        self._runs = 0

    def run(self) -> bytes | None:
        """As a handler does: gives the answer, raises, or answers the call later."""
        self._runs += 1
        refusal: ApiError | None = None
        body: bytes | None = None
        relied = self._relied = Relied()
        hosted = self._gateway.peers.hosted
        before, hosted.relied_on = hosted.relied_on, relied
        try:
            body = self._gateway.run_here(self)
        except (Elsewhere, NotLeading) as error:
            self._pass_on(error if isinstance(error, Elsewhere) else Elsewhere(error.group, Need.WRITE))
            return None
        except ApiError as error:
            refusal = error
        finally:
            relied.note_proposed()
            hosted.relied_on = before
        answer = body if refusal is None else refusal
        if answer is not None and (doubtful := self._doubtful(answer)):
            self._confirm(answer, doubtful)
            return None
        if refusal is not None:
            raise refusal
        return body

    def reply(self, body: bytes) -> None:
        doubtful = self._doubtful(body)
        if doubtful:
            self._confirm(body, doubtful)
        else:
            self._call.reply(body)

    def fail(self, error: BaseException) -> None:
        has_proposed = self._relied.proposed
        if isinstance(error, NotLeading) and (self.operation in _SINGLE or not has_proposed):
            # What was proposed surely will not be chosen: it did not get as far as that. Whoever leads now takes it.
            self._pass_on(Elsewhere(error.group, Need.WRITE))
        elif isinstance(error, Elsewhere) and not has_proposed:
            self._pass_on(error)
        elif isinstance(error, Elsewhere | NotLeading):    # a part of it may have been done
            self._call.fail(_leader_has_changed())
        elif isinstance(error, ApiError) and (doubtful := self._doubtful(error)):
            self._confirm(error, doubtful)
        else:
            self._call.fail(error)

    def _doubtful(self, answer: bytes | ApiError) -> _Leads:
        """What the answer relies on, and this node may not lead any more. If there is none of it, it may leave."""
        relied = self._relied
        if not relied.leads or isinstance(answer, InternalServerError | ServiceUnavailable):
            return {}
        return {
            group: (lead, ballot)
            for group, (lead, ballot) in relied.leads.items()
            if group not in relied.proposed and group not in self._confirmed
            and not (lead.is_leading and lead.may_answer(ballot))
        }  # fmt: skip

    def _confirm(self, answer: bytes | ApiError, doubtful: _Leads) -> None:
        """Whoever this node led may have another leader by now: ask, and run again; or, if something was proposed, give
        the answer if they have not."""
        is_done = isinstance(answer, bytes) and self.operation in _TRANSACTIONS
        may_run_again = not (self._relied.proposed or is_done)
        is_same = True
        left = len(doubtful)

        def confirmed(group: int, error: BaseException | None) -> None:
            nonlocal left, is_same
            left -= 1
            lead, ballot = doubtful[group]
            if error is None:
                self._confirmed.add(group)
            is_same = is_same and error is None and lead.ballot == ballot
            if left:
                return
            if may_run_again:
                self.run_again()
            elif is_same:
                self._give(answer)
            else:
                self._call.fail(_leader_has_changed())

        for group, (lead, _) in doubtful.items():
            if lead.is_leading:
                lead.confirm(functools.partial(confirmed, group))
            else:
                confirmed(group, Elsewhere(group, Need.LEADER))

    def _give(self, answer: bytes | ApiError) -> None:
        if isinstance(answer, bytes):
            self._call.reply(answer)
        else:
            self._call.fail(answer)

    def run_again(self) -> None:
        """Later, and outside of whoever runs the call."""
        if self._runs == _RUNS_MAX:
            self._call.fail(unreached())
            return
        try:
            body = self.run()
        except Exception as error:    # it has no caller: the client is its caller
            self._call.fail(error)
        else:
            if body is not None:
                self._call.reply(body)

    def _pass_on(self, away: Elsewhere) -> None:
        self._confirmed.discard(away.group)
        if self.elsewhere is None:
            self._gateway.send_back(self._call, away)
        else:
            self._gateway.pass_on(self._call, away, self.run_again)


def _leader_has_changed() -> ApiError:
    return InternalServerError("The leader has changed: nobody knows whether all of it was done.")
