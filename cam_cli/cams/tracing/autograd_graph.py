"""Order and dominators of an autograd graph: the nodes that every path from the image to the score crosses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Node = Any  # torch.autograd.graph.Node; its subclasses are made by the engine and have no common public type


@dataclass(frozen=True)
class Dominators:
    """An autograd graph seen from a score.

    order: all nodes, each before those to which it passes its gradient. crossed: the ids of the nodes that every path
    to the image crosses. An id is Python's `id` of a node, valid as long as this object keeps the nodes alive.
    """

    order: tuple[Node, ...]
    crossed: frozenset[int]

    def share_after(self, node: int) -> float:
        """Returns the share of the graph between a node and the score, in [0, 1]."""
        root = self.order[0]
        visited = {id(root)}
        stack = [root]
        while stack:
            current = stack.pop()
            if id(current) != node:
                for following in _inputs(current):
                    if id(following) not in visited:
                        visited.add(id(following))
                        stack.append(following)
        return len(visited) / len(self.order)


def dominators(root: Node, picture: Node) -> Dominators:
    """Finds the nodes that every path from the score's node `root` to the `picture` node crosses.

    Visits the nodes in topological order and counts open edges: all paths cross a node at which no other edge is open.
    Only edges from which the image can be reached count.
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
    """Returns all nodes, the score's first, each before those to which it passes its gradient."""
    order: list[Node] = []
    visited: set[int] = set()
    stack = [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif id(node) not in visited:
            visited.add(id(node))
            stack.append((node, True))
            stack.extend((following, False) for following in _inputs(node))
    order.reverse()
    return order


def reachable(node: Node) -> frozenset[int]:
    """Returns the ids of all nodes to which a node passes its gradient, its own included."""
    return frozenset(map(id, topological(node)))
