"""A shopping cart on the ring: additions are never lost, and what was removed may come back.

    varley ring up                          in one terminal
    python examples/shopping_cart.py        in another; the address of a node may follow

Two browsers have the same cart open. One removes the pen, the other adds a cup, and neither knows of the other. The
ring takes both writes and keeps both carts. Whoever opens the cart next makes one of them, by uniting: so the cup is
there, and so is the pen. Of the two mistakes that a shop can make this is the one that it can bear (section 4.4 of the
paper).

With `last_write_wins` in place of `united` one of the two carts would be gone, and perhaps the cup with it.
"""

from __future__ import annotations

import json
import sys

from varley.ring import Client, merging


def united(one: bytes, other: bytes) -> bytes:
    """Of two carts one. In whichever order carts are united, the result is the same."""
    return packed(items(one) | items(other))


def items(cart: bytes | None) -> set[str]:
    return set(json.loads(cart)) if cart else set()


def packed(cart: set[str]) -> bytes:
    return json.dumps(sorted(cart)).encode()


def shown(cart: bytes | None) -> str:
    return ", ".join(sorted(items(cart))) or "nothing"


def main(endpoint: str) -> None:
    with Client([endpoint]) as ring:
        ring.put("carts", "customer-7", packed({"book", "pen"}), ring.get("carts", "customer-7").context)

        phone = ring.get("carts", "customer-7")
        laptop = ring.get("carts", "customer-7")
        print("both see:          ", shown(phone.value))

        without_pen = items(phone.value) - {"pen"}
        ring.put("carts", "customer-7", packed(without_pen), phone.context)
        print("the phone leaves:  ", shown(packed(without_pen)))

        with_cup = items(laptop.value) | {"cup"}
        ring.put("carts", "customer-7", packed(with_cup), laptop.context)
        print("the laptop leaves: ", shown(packed(with_cup)))

        for kept in sorted(shown(value) for value in ring.get("carts", "customer-7").values):
            print("the ring keeps:    ", kept)

        # Get, unite, add, put: with the context of what was united, so one cart takes the place of both.
        cart = ring.update(
            "carts", "customer-7", lambda cart: packed(items(cart) | {"lamp"}), reconcile=merging(united)
        )
        print("with a lamp:       ", shown(cart))
        print("what is left:      ", len(ring.get("carts", "customer-7").siblings), "cart")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8101")
