"""Everything that is measured: `make bench`, or `python benchmarks/run.py` in an environment that has Varley.

    make bench                                  all that takes minutes: 15 of them
    make bench ARGS="--only everyday"           one section
    make bench ARGS="--only ring"               the ring, which has no peers: less than four minutes
    make bench ARGS="--growth 10000000"         one table from 10,000 to 10,000,000 items: half an hour, 8 GB of disk

Tables go to standard output, progress to the terminal, and every sample into benchmarks/results/.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import bulk
import checkpoints
import cluster
import features
import footprint
import growth
import load
import machine
import peers
import ring_load
import side_by_side
from session import OTHERS_MAX, Session

SECTIONS = ("start", "everyday", "bulk", "features", "checkpoints", "ring", "cluster")


def main() -> None:
    options = _options()
    session = Session(options.rounds, options.seconds, options.patience)
    began = time.time()
    try:
        with session.running():
            _measure(session, options)
    except peers.NotInstalled as error:
        sys.exit(str(error))
    about = _about(session)
    path = peers.DATA / time.strftime("%Y-%m-%d-%H%M%S.json", time.localtime(began))
    session.save(path, about=about)
    print("\n".join(about) + "\n\n" + session.results())
    session.say(f"{time.time() - began:.0f} s; all samples are in {path}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of each measurement (3)")
    parser.add_argument("--seconds", type=int, default=3, help="of one run of the load, whole seconds (3)")
    parser.add_argument("--patience", type=float, default=60, help="seconds to wait for other programs in all (60)")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="these sections")
    parser.add_argument("--growth", type=int, metavar="ITEMS", help="instead: one table that grows to ITEMS items")
    return parser.parse_args()


def _measure(session: Session, options: argparse.Namespace) -> None:
    if options.growth is not None:
        peers.install_wrk(session.say)
        growth.measure(session, options.growth)
        return
    if set(options.only) != {"ring"}:
        _install_peers(session)
    if "start" in options.only:
        footprint.measure(session, [peers.varley(), peers.varley_in_memory(), *peers.others()])
    if {"everyday", "bulk", "features"}.intersection(options.only):
        _measure_filled(session, options)
    if "checkpoints" in options.only:
        checkpoints.measure(session)
    if "ring" in options.only:
        ring_load.measure(session)
    if "cluster" in options.only:
        cluster.measure(session)


def _install_peers(session: Session) -> None:
    peers.install(session.say)
    missing = peers.why_no_dynamodb_local()
    if missing is not None:
        session.say(f"NOTE: {missing}")
        session.write(f"{missing}.\n")


def _measure_filled(session: Session, options: argparse.Namespace) -> None:
    targets = [peers.varley(), peers.varley_in_memory(), *peers.others()]
    try:
        session.begin("Filling the servers", len(targets))
        for target in targets:
            session.step(target.name)
            target.start()
            load.fill(target.endpoint, side_by_side.ITEMS)
            session.stepped()
        if "everyday" in options.only:
            side_by_side.measure(session, targets)
        if "bulk" in options.only:
            bulk.measure(session, targets)
        if "features" in options.only:
            features.measure(session, targets)
    finally:
        for target in targets:
            target.remove()


def _about(session: Session) -> list[str]:
    servers = ", ".join(f"{target.name} {target.version}" for target in [peers.varley(), *peers.installed_others()])
    return [
        f"{time.strftime('%Y-%m-%d')}. {machine.describe(peers.DATA)}.",
        f"{servers}; peers in memory, Varley syncing its log before each answer unless it says --in-memory.",
        f"{session.repeated} measurements repeated, {session.disturbed} kept although other programs took more than "
        f"{OTHERS_MAX:.2f} cores.",
    ]


if __name__ == "__main__":
    main()
