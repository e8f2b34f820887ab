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
in which it was evaluated. Nor is such a request ever run again.

A confirmed leader need not have a lease: what is read after a quorum has confirmed it is right (read-index). So what
was confirmed is not asked for again when the request is run the second time.

Source: docs of Raft, section 6.4 (read-index, leases); Amazon DynamoDB (ATC 2022), section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from varley.errors import ApiError, InternalServerError, NotLeading, ServiceUnavailable
from varley.http.call import Call
from varley.node.elsewhere import Elsewhere, Need
from varley.remote.hosted import Relied
from varley.remote.peers import Peers, unreached

if TYPE_CHECKING:
    from varley.gateway.gateway import Gateway

# They propose one entry, or none.
_SINGLE: Final = frozenset(("DeleteItem", "ExecuteStatement", "PutItem", "UpdateItem"))

_RUNS_MAX: Final = 40    # of one request: each but the first follows a change of leaders

# Their success tells of what was chosen, and is never computed from what is merely applied.
_TRANSACTIONS: Final = frozenset(("TransactWriteItems", "ExecuteTransaction"))


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
        relied = self._relied = Relied()
        hosted = self._gateway.peers.hosted
        before, hosted.relied_on = hosted.relied_on, relied
        try:
            body = self._gateway.run_here(self)
        except (Elsewhere, NotLeading) as error:
            self._pass_on(error if isinstance(error, Elsewhere) else Elsewhere(error.group, Need.WRITE))
            return None
        except ApiError as refusal:
            if self._may_leave(refusal):
                raise
            self._confirm()
            return None
        finally:
            hosted.relied_on = before
        if body is not None and not self._may_leave(None):
            self._confirm()
            return None
        return body

    def reply(self, body: bytes) -> None:
        if self._may_leave(None):
            self._call.reply(body)
        else:
            self._confirm()

    def fail(self, error: BaseException) -> None:
        if isinstance(error, NotLeading) and (self.operation in _SINGLE or not self._relied.has_proposed):
            # What was proposed surely will not be chosen: it did not get as far as that. Whoever leads now takes it.
            self._pass_on(Elsewhere(error.group, Need.WRITE))
        elif isinstance(error, Elsewhere) and not self._relied.has_proposed:
            self._pass_on(error)
        elif isinstance(error, Elsewhere | NotLeading):    # a part of it may have been done
            self._call.fail(InternalServerError("The leader has changed: nobody knows whether all of it was done."))
        elif not isinstance(error, ApiError) or self._may_leave(error):
            self._call.fail(error)
        else:
            self._confirm()

    def _may_leave(self, refusal: ApiError | None) -> bool:
        """Whether an answer (a refusal, or a success if it is None) can go out as it is."""
        relied = self._relied
        if not relied.leads or relied.has_proposed:
            return True
        if refusal is None and self.operation in _TRANSACTIONS:
            return True
        if isinstance(refusal, InternalServerError | ServiceUnavailable):
            return True
        return all(
            group in self._confirmed or (lead.is_leading and lead.may_answer(ballot))
            for group, (lead, ballot) in relied.leads.items()
        )

    def _confirm(self) -> None:
        """Whoever this node led may have another leader by now: ask, and run again."""
        leads = {group: lead for group, (lead, _) in self._relied.leads.items() if group not in self._confirmed}
        left = len(leads)

        def confirmed(group: int, error: BaseException | None) -> None:
            nonlocal left
            left -= 1
            if error is None:
                self._confirmed.add(group)
            if not left:
                self.run_again()

        for group, lead in leads.items():
            if lead.is_leading:
                lead.confirm(lambda error, group=group: confirmed(group, error))  # type: ignore[misc]
            else:
                confirmed(group, Elsewhere(group, Need.LEADER))

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
