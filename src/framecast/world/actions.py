"""The classes: a template of Something-Something V2 (id, raw text), its task of that set's four if any, a scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from framecast.world import scenes


@dataclass(frozen=True)
class Action:
    """One class of clips."""

    template_id: int
    template: str
    task: str
    stage: Callable[..., scenes.Words]
    settings: dict[str, Any] = field(default_factory=dict)


MOVE, DROP, COVER, BACK = "move_object", "drop_object", "cover_object", "back_and_forth"
ACTIONS = {
    "PushLeftRight": Action(
        93, "Pushing [something] from left to right", MOVE, scenes.drag, {"verb": "pushed", "side": 1}
    ),
    "PushRightLeft": Action(
        94, "Pushing [something] from right to left", MOVE, scenes.drag, {"verb": "pushed", "side": -1}
    ),
    "PullLeftRight": Action(
        86, "Pulling [something] from left to right", MOVE, scenes.drag, {"verb": "pulled", "side": 1}
    ),
    "PullRightLeft": Action(
        87, "Pulling [something] from right to left", MOVE, scenes.drag, {"verb": "pulled", "side": -1}
    ),
    "MoveAway": Action(41, "Moving [something] away from the camera", MOVE, scenes.depth, {"side": 1}),
    "MoveTowards": Action(44, "Moving [something] towards the camera", MOVE, scenes.depth, {"side": -1}),
    "MoveUp": Action(45, "Moving [something] up", MOVE, scenes.lift, {"side": 1}),
    "MoveDown": Action(43, "Moving [something] down", MOVE, scenes.lift, {"side": -1}),
    "DropBehind": Action(8, "Dropping [something] behind [something]", DROP, scenes.drop_beside, {"how": "behind"}),
    "DropInFront": Action(
        9, "Dropping [something] in front of [something]", DROP, scenes.drop_beside, {"how": "in front of"}
    ),
    "DropNextTo": Action(11, "Dropping [something] next to [something]", DROP, scenes.drop_beside, {"how": "next to"}),
    "DropOnto": Action(12, "Dropping [something] onto [something]", DROP, scenes.drop_onto),
    "FallRock": Action(135, "[Something] falling like a rock", DROP, scenes.fall),
    "Cover": Action(6, "Covering [something] with [something]", COVER, scenes.cover),
    "PutOnto": Action(112, "Putting [something] onto [something]", COVER, scenes.put_onto),
    "PutDown": Action(109, "Putting [something] on a surface", COVER, scenes.put_down),
    "RollSlope": Action(24, "Letting [something] roll up a slanted surface, so it rolls back down", BACK, scenes.slope),
    "ThrowCatch": Action(153, "Throwing [something] in the air and catching it", BACK, scenes.throw),
    "PlugUnplug": Action(
        50, "Plugging [something] into [something] but pulling it right out as you remove your hand", BACK, scenes.plug
    ),
    "Roll": Action(122, "Rolling [something] on a flat surface", "roll", scenes.rolling),
    "Collide": Action(
        132, "[Something] colliding with [something] and both are being deflected", "collide", scenes.collide
    ),
}

ORDER = (
    "PushLeftRight", "DropNextTo", "RollSlope", "Cover", "Collide", "PullRightLeft", "ThrowCatch", "MoveUp", "DropOnto",
    "Roll", "PlugUnplug", "PutOnto", "PushRightLeft", "RollSlope", "DropBehind", "MoveAway", "Cover", "Collide",
    "ThrowCatch", "FallRock", "PullLeftRight", "MoveDown", "PlugUnplug", "PutDown", "DropInFront", "MoveTowards",
)  # fmt: skip
"""The classes in the order in which videos are counted off; those that come twice are drawn twice as often."""
