"""Metrics of faithfulness against slow definitions, and the engine that measures them."""

from __future__ import annotations

import copy
import dataclasses
import time

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from cam_cli.cams.engine.inputs import as_pictures
from cam_cli.errors import CamxError
from cam_cli.evaluation.faithful_scores import METRICS, SCORES
from cam_cli.faithfulness.cells import blurred, generator, on_grid, random_maps, ranks
from cam_cli.faithfulness.correlation import pearson, spearman
from cam_cli.faithfulness.evaluation import Evaluation, ScoredMap
from cam_cli.faithfulness.evaluator import Evaluator
from cam_cli.faithfulness.imputation import imputed
from cam_cli.faithfulness.measures import MEASURES, ROAD_SHARES, adcc_scores, sensitivity_max
from cam_cli.faithfulness.options import FaithfulOptions
from cam_cli.faithfulness.randomised import STAGES, randomised_networks, weighted_modules

from .conftest import picture
from .methods_support import Pooled, small
from .networks import PLAIN, RedDetector, network


def red_square(x: int, y: int) -> Image.Image:
    """A grey image of 64×64 with a red square of 16×16 at (x, y)."""
    image = Image.new("RGB", (64, 64), (90, 90, 90))
    ImageDraw.Draw(image).rectangle((x, y, x + 15, y + 15), fill=(250, 20, 20))
    return image


def evaluator(module: nn.Module | None = None, *, side: int = 64, **options: object) -> Evaluator:
    preprocessing = dataclasses.replace(PLAIN, input_size=(side, side), resize=(side, side))
    found = network(module or RedDetector().eval(), preprocessing)
    return Evaluator(found, FaithfulOptions(device="cpu", **options))  # type: ignore[arg-type]


def evaluated(engine: Evaluator, *images: Image.Image) -> list[Evaluation]:
    return engine.evaluate(as_pictures(list(images), engine.network.preprocessing))


def scored(found: Evaluation, method: str = "gradcam") -> ScoredMap:
    return next(one for one in found.maps if one.method == method)


def normalised(image: Image.Image) -> Tensor:
    return (torch.tensor(np.asarray(image)).permute(2, 0, 1)[None].float() / 255 - 0.5) / 0.5


def slow_curve(
    module: nn.Module, x: Tensor, fill: Tensor, values: np.ndarray, steps: int, *, insert: bool
) -> list[float]:
    """Cell by cell in numpy; `values` without equal cells."""
    order = np.argsort(-values, axis=None)
    cell = 64 // values.shape[0]
    curve = []
    for step in range(steps + 1):
        shown = (fill if insert else x).clone()
        for place in order[: round(step * values.size / steps)]:
            row, column = divmod(int(place), values.shape[1])
            rows, columns = slice(row * cell, (row + 1) * cell), slice(column * cell, (column + 1) * cell)
            shown[..., rows, columns] = (x if insert else fill)[..., rows, columns]
        with torch.no_grad():
            curve.append(float(module(shown).softmax(1)[0, 0]))
    return curve


class TestCurves:
    @pytest.mark.parametrize(("metric", "insert"), [("deletion", False), ("insertion", True)])
    @pytest.mark.parametrize("fill", ["blur", "mean"])
    def test_a_curve_is_that_of_its_definition(self, metric: str, insert: bool, fill: str) -> None:
        name = metric if fill == "blur" else f"{metric}-mean"
        module, image = RedDetector().eval(), red_square(8, 24)
        found = scored(evaluated(evaluator(module, metrics=(name,), steps=5), image)[0], "random")
        x = normalised(image)
        slow = slow_curve(
            module, x, blurred(x) if fill == "blur" else torch.zeros_like(x), found.values, 5, insert=insert
        )
        key = name.replace("-", "_")
        assert found.curves[key] == pytest.approx(slow, abs=1e-5)
        assert found.scores[key] == pytest.approx(np.trapezoid(slow) / 5, abs=1e-5)

    def test_an_honest_map_is_better_than_both_baselines(self) -> None:
        module = RedDetector().eval()
        module.fc.weight.data *= 40
        engine = evaluator(module, metrics=("deletion-mean", "insertion-mean"), steps=8)
        for found in evaluated(engine, red_square(0, 0), red_square(44, 4)):
            own = scored(found).scores
            for name in ("random", "centre"):
                assert own["deletion_mean"] < scored(found, name).scores["deletion_mean"] - 0.1
                assert own["insertion_mean"] > scored(found, name).scores["insertion_mean"] + 0.05

    def test_the_blur_is_a_gaussian_of_a_twentieth_of_the_side(self) -> None:
        point = torch.zeros(1, 1, 201, 201)
        point[..., 100, 100] = 1
        soft = blurred(point)[0, 0].double()
        at = torch.arange(201.0).double() - 100
        assert float(soft.sum()) == pytest.approx(1, abs=1e-5)
        assert float((soft.sum(0) * at**2).sum()) ** 0.5 == pytest.approx(0.05 * 201, rel=0.05)


class TestOrder:
    def test_equal_cells_come_in_no_order_of_the_image(self) -> None:
        flat, ties = torch.zeros(1, 12, 12), random_maps(["a.png"], (12, 12), 0, -1)
        found = ranks(flat, ties)[0]
        assert sorted(found.flatten().tolist()) == list(range(144))
        assert abs(float(found[:, :6].float().mean() - found[:, 6:].float().mean())) < 30
        flat[0, 3, 4] = 1
        assert int(ranks(flat, ties)[0, 3, 4]) == 0

    def test_random_numbers_depend_on_the_name_of_the_image_alone(self) -> None:
        together = random_maps(["a", "b"], (3, 3), 0, 0)
        assert torch.equal(random_maps(["b"], (3, 3), 0, 0)[0], together[1])
        assert not torch.equal(together[0], together[1])
        assert generator("a", 0, 0).initial_seed() != generator("a", 1, 0).initial_seed()

    def test_maps_of_other_grids_are_brought_to_the_cells_of_the_layer(self) -> None:
        fine = torch.arange(16.0).view(1, 4, 4)
        assert on_grid(fine, (2, 2))[0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
        assert on_grid(fine, (4, 4)) is fine
        assert on_grid(torch.ones(1, 2, 2), (5, 5)).shape == (1, 5, 5)


class TestImputation:
    def test_it_solves_the_equations_of_road(self) -> None:
        """Compared with a dense solution of the system, pixel by pixel."""
        torch.manual_seed(0)
        x, gone = torch.randn(1, 2, 9, 7), torch.rand(1, 1, 9, 7) > 0.6
        gone[..., 2:6, 1:5] = True
        places = {(int(r), int(c)): n for n, (r, c) in enumerate(gone[0, 0].nonzero())}
        matrix, right = np.zeros((len(places),) * 2), np.zeros((len(places), 2))
        for (row, column), n in places.items():
            for down in (-1, 0, 1):
                for across in (-1, 0, 1):
                    r, c, weight = row + down, column + across, 1 / 6 if down * across == 0 else 1 / 12
                    if (down or across) and 0 <= r < 9 and 0 <= c < 7:
                        matrix[n, n] += weight
                        if (r, c) in places:
                            matrix[n, places[r, c]] -= weight
                        else:
                            right[n] += weight * x[0, :, r, c].numpy()
        slow = np.linalg.solve(matrix, right)
        found = imputed(x, gone)
        assert torch.equal(found[~gone.expand_as(x)], x[~gone.expand_as(x)])
        for (row, column), n in places.items():
            assert found[0, :, row, column].numpy() == pytest.approx(slow[n], abs=1e-3)

    def test_an_image_of_which_nothing_is_left_is_the_mean_colour(self) -> None:
        assert not imputed(torch.ones(1, 3, 8, 8), torch.ones(1, 1, 8, 8, dtype=torch.bool)).any()

    def test_road_distinguishes_an_honest_map_from_chance(self) -> None:
        module = RedDetector().eval()
        module.fc.weight.data *= 40
        found = evaluated(evaluator(module, metrics=("road",)), red_square(40, 40))[0]
        assert scored(found).scores["road"] > scored(found, "random").scores["road"] + 0.05
        assert len(scored(found).curves["road_most"]) == len(ROAD_SHARES)


class TestScores:
    def test_average_drop_and_adcc_by_hand(self) -> None:
        """Half of 0.8 is lost; the maps are equal; a quarter is visible: 3 / (1 + 1/0.75 + 1/0.5)."""
        (found, _) = adcc_scores(*(torch.tensor([[value]]) for value in (0.8, 0.4, 1.0, 0.25)))
        assert {name: round(float(value), 5) for name, value in found.items()} == {
            "drop": 0.5, "increase": 0.0, "coherency": 1.0, "complexity": 0.25, "adcc": round(3 / (1 + 4 / 3 + 2), 5),
        }  # fmt: skip

    def test_a_map_that_shows_everything_gets_nothing(self) -> None:
        """Its average drop alone would be perfect."""
        (found, _) = adcc_scores(*(torch.tensor([[value]]) for value in (0.8, 0.8, 1.0, 1.0)))
        assert (float(found["drop"]), float(found["adcc"])) == (0.0, 0.0)

    def test_sensitivity_is_the_largest_relative_change(self) -> None:
        maps, changed = torch.tensor([[3.0, 4.0]])[None], torch.tensor([[[[3.0, 3.0]]], [[[0.0, 4.0]]]])
        assert sensitivity_max(maps, changed).tolist() == pytest.approx([3 / 5])
        assert torch.isnan(sensitivity_max(torch.zeros(1, 1, 2), changed)).all()

    def test_ranks_of_equal_values_are_shared(self) -> None:
        a, b = torch.tensor([[[1.0, 2.0, 2.0, 5.0]]]), torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
        assert float(spearman(a, b)) == pytest.approx(4.5 / (4.5 * 5) ** 0.5)
        assert float(pearson(b, -3 * b + 1)) == pytest.approx(-1)
        assert torch.isnan(spearman(a, torch.ones_like(a))).all()

    def test_every_score_has_a_sentence_and_every_metric_a_function(self) -> None:
        assert {name for names in METRICS.values() for name in names} == {*SCORES}
        assert MEASURES.keys() == METRICS.keys()
        assert all(score.sentence for score in SCORES.values())


class TestSanity:
    def test_weights_are_permuted_from_the_head_downwards_and_the_network_stays(self) -> None:
        module = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)
        ).eval()
        before = copy.deepcopy(module.state_dict())
        x = torch.randn(1, 3, 8, 8)
        assert weighted_modules(module, lambda: module(x)) == ["4", "1", "0"]
        stages = randomised_networks(network(module), lambda: module(x), seed=1)
        assert len(stages) == len(STAGES)
        changed = [
            {
                name.split(".")[0]
                for name, one in stage.module.state_dict().items()
                if not torch.equal(one, before[name])
            }
            for stage in stages
        ]
        assert changed[0] == {"4"}
        assert changed[-1] >= {"4", "0"}
        assert all(torch.equal(one, before[name]) for name, one in module.state_dict().items())
        for name, one in stages[-1].module.state_dict().items():
            assert torch.equal(one.flatten().sort().values, before[name].flatten().sort().values)

    def test_statistics_of_a_channel_move_with_its_weight(self) -> None:
        norm = nn.BatchNorm2d(50)
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            tensor.data.copy_(torch.arange(50.0))
        module = nn.Sequential(nn.Conv2d(3, 50, 1), norm, nn.Flatten(), nn.Linear(50, 2)).eval()
        last = randomised_networks(network(module), lambda: module(torch.randn(1, 3, 1, 1)), seed=1)[-1].module[1]  # type: ignore[index]
        assert torch.equal(last.weight, last.bias)
        assert torch.equal(last.weight, last.running_var)
        assert not torch.equal(last.weight, torch.arange(50.0))

    def test_a_method_without_a_class_does_not_notice_another_classifier(self) -> None:
        found = evaluated(
            evaluator(small(Pooled), methods=("gradcam", "eigencam"), metrics=("sanity",)), picture(64, 64)
        )[0]
        assert scored(found, "eigencam").scores["sanity_head"] == pytest.approx(1)
        assert scored(found, "centre").scores["sanity_all"] == pytest.approx(1)
        assert abs(scored(found, "random").scores["sanity_head"]) < 0.5
        assert len(scored(found, "centre").curves["sanity"]) == len(STAGES)


class TestEngine:
    def test_scores_depend_neither_on_neighbours_nor_on_the_batch(self) -> None:
        methods, metrics = ("gradcam", "eigencam"), tuple(METRICS)
        engine = evaluator(small(), side=24, methods=methods, metrics=metrics, steps=3, draws=2)
        pictures = as_pictures([picture(24, 24, seed=seed) for seed in range(3)], engine.network.preprocessing)
        together = engine.evaluate(pictures)
        for one, alone in zip(together, (engine.evaluate([single])[0] for single in pictures), strict=True):
            for a, b in zip(one.maps, alone.maps, strict=True):
                assert a.scores == pytest.approx(b.scores, abs=2e-4)
        replica = engine.replica().evaluate(pictures)
        assert scored(replica[1]).scores == pytest.approx(scored(together[1]).scores, abs=1e-6)

    @pytest.mark.parametrize("metric", METRICS)
    def test_the_printed_cost_is_the_cost_of_the_network(self, metric: str) -> None:
        module = small()
        engine = evaluator(module, side=24, methods=("gradcam", "layercam"), metrics=(metric,), steps=4, draws=3)
        networks = [module, *(one.network.module for one in engine._permuted)]
        pictures = as_pictures([picture(24, 24, seed=seed) for seed in range(2)], engine.network.preprocessing)
        counted: list[int] = []
        handles = [one.register_forward_hook(lambda _m, x, _o: counted.append(len(x[0]))) for one in networks]
        engine.evaluate(pictures)
        for handle in handles:
            handle.remove()
        # Each explanation takes one forward more.
        assert sum(counted) == 2 * (engine.cost.forwards + engine.cost.explanations)

    def test_the_reported_time_includes_the_changes_of_images(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The imputation of ROAD takes longer than the forwards: here at least 10 ms for each of 30 images."""
        slow = dataclasses.replace(MEASURES["road"], change=lambda image: time.sleep(0.01))
        monkeypatch.setitem(MEASURES, "road", slow)  # type: ignore[arg-type]
        assert evaluator(metrics=("road",)).seconds_per_image() >= 30 * 0.01

    def test_imputing_an_image_for_its_cost_leaves_its_edge(self) -> None:
        image = torch.rand(1, 3, 28, 28)
        change = MEASURES["road"].change
        assert change is not None
        changed = change(image)
        assert torch.equal(changed[..., :4, :], image[..., :4, :])
        assert not torch.equal(changed[..., 4:24, 4:24], image[..., 4:24, 4:24])

    def test_a_blank_map_has_no_scores(self) -> None:
        module = RedDetector().eval()
        found = evaluated(evaluator(module, metrics=("deletion",)), Image.new("RGB", (64, 64), (255, 255, 255)))[0]
        assert not scored(found).shown
        assert scored(found).scores == {}
        assert scored(found, "centre").scores

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"methods": ("dff",)}, "concepts"),
            ({"methods": ()}, "empty"),
            ({"metrics": ("deletion", "deletion")}, "twice"),
            ({"metrics": ("deletoin",)}, "deletion"),
        ],
    )
    def test_options_that_make_no_sense_are_refused(self, options: dict[str, tuple[str, ...]], words: str) -> None:
        with pytest.raises(CamxError, match=words):
            FaithfulOptions(**options)  # type: ignore[arg-type]
