"""Facts about an autograd graph: which nodes every path from the picture to the score must cross."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Node = Any  # torch.autograd.graph.Node; its subclasses are made by the engine and have no common public type


@dataclass(frozen=True)
class Dominators:
    """The nodes of a graph walked back from a score, and the ids of those that every path to the picture crosses.

    Ids are Python's `id` of a node, valid as long as this object keeps the nodes alive.
    """

    order: tuple[Node, ...]
    crossed: frozenset[int]

    def share_after(self, node: int) -> float:
        """How much of the graph lies between a node and the score, in [0, 1]."""
        root = self.order[0]
        seen = {id(root)}
        stack = [root]
        while stack:
            current = stack.pop()
            if id(current) != node:
                for following in _inputs(current):
                    if id(following) not in seen:
                        seen.add(id(following))
                        stack.append(following)
        return len(seen) / len(self.order)


def dominators(root: Node, picture: Node) -> Dominators:
    """Walk from the score's node `root` to the `picture` node and count the edges that are open at each node.

    In topological order, a node at which no other edge is open is crossed by all paths. Only edges from
    which the picture can be reached count.
    """
    order = topological(root)
    reaches: dict[int, bool] = {}
    for node in reversed(order):
        reaches[id(node)] = node is picture or any(reaches[id(n)] for n in _inputs(node))
    waiting = {id(root): 1}
    open_edges, crossed = 1, set()
    for node in order:
        if not reaches[id(node)] or id(node) not in waiting:
            continue
        open_edges -= waiting.pop(id(node))
        if open_edges == 0:
            crossed.add(id(node))
        for following in _inputs(node):
            if reaches[id(following)]:
                waiting[id(following)] = waiting.get(id(following), 0) + 1
                open_edges += 1
    return Dominators(tuple(order), frozenset(crossed))


def _inputs(node: Node) -> list[Node]:
    return [following for following, _ in node.next_functions if following is not None]


def topological(root: Node) -> list[Node]:
    """All nodes, each before those it gets its gradient passed on to (the score first)."""
    order: list[Node] = []
    seen: set[int] = set()
    stack = [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((following, False) for following in _inputs(node))
    order.reverse()
    return order
