"""The loss of a batch: plain, of examples that are mixed or cut in pairs, smoothed, in parts, and of one's own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.core.errors import OptionError
from goldenrule.training.loss import CustomLoss, Examples, Objective, asymmetric_loss, blended, loss_of

CLASSES = 3
seeds = st.integers(0, 2**31)
amounts = st.floats(0.05, 5.0)
light = settings(deadline=None, max_examples=30)


def batch(seed: int, count: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs, targets and weights drawn at random."""
    draws = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, CLASSES, generator=draws)
    targets = torch.randint(CLASSES, (count,), generator=draws)
    return inputs, targets, torch.rand(count, generator=draws) + 0.1


def logits(inputs: torch.Tensor) -> torch.Tensor:
    """A network that gives its input back."""
    return inputs


def value_of(model, inputs, targets, weights, parts=1, **how) -> torch.Tensor:
    """The loss of a batch, computed in so many parts."""
    objective = Objective(**how)
    blend = blended(Examples(inputs, targets, weights), objective)
    return sum(loss_of(model, part, objective) for part in blend.split(parts))


@light
@given(seeds)
def test_without_mixup_it_is_the_weighted_mean_cross_entropy(seed: int) -> None:
    inputs, targets, weights = batch(seed)
    ours = -torch.log_softmax(inputs, dim=1)[torch.arange(len(targets)), targets]
    assert torch.isclose(value_of(logits, inputs, targets, weights, mixup=0.0), (ours * weights).sum() / weights.sum())


@light
@given(seeds, amounts)
def test_mixing_equal_examples_changes_nothing(seed: int, mixup: float) -> None:
    inputs, targets, weights = batch(seed)
    inputs, targets = inputs[:1].repeat(6, 1), targets[:1].repeat(6)
    plain = value_of(logits, inputs, targets, weights, mixup=0.0)
    assert torch.isclose(value_of(logits, inputs, targets, weights, mixup=mixup), plain, atol=1e-5)


@light
@given(seeds, amounts)
def test_what_counts_nothing_has_no_say_in_the_targets(seed: int, mixup: float) -> None:
    inputs, targets, weights = batch(seed)
    weights[2] = 0.0
    values = []
    for label in range(CLASSES):
        targets[2] = label
        torch.manual_seed(seed)
        values.append(float(value_of(logits, inputs, targets, weights, mixup=mixup)))
    assert len(set(values)) == 1


@light
@given(seeds, amounts)
def test_the_loss_of_a_mixture_is_shared_by_both_targets_as_the_picture_is(seed: int, mixup: float) -> None:
    inputs, targets, weights = batch(seed, count=2)
    seen: list[torch.Tensor] = []

    def watched(mixed: torch.Tensor) -> torch.Tensor:
        seen.append(mixed)
        return mixed

    value = value_of(watched, inputs, targets, weights, mixup=mixup)
    way = inputs[0] - inputs[1]
    share = (seen[0][0] - inputs[1]) @ way / (way @ way)  # of the first picture in the first mixture
    surprise = -torch.log_softmax(seen[0], dim=1)
    first = weights[0] * share * surprise[0, targets[0]] + weights[1] * (1 - share) * surprise[0, targets[1]]
    second = weights[1] * share * surprise[1, targets[1]] + weights[0] * (1 - share) * surprise[1, targets[0]]
    assert torch.isclose(value, (first + second) / weights.sum(), atol=1e-4)


hows = st.sampled_from([{}, {"mixup": 0.4}, {"label_smoothing": 0.1}, {"mixup": 1.0, "label_smoothing": 0.2}])


@light
@given(seeds, hows, st.integers(1, 9))
def test_the_losses_of_the_parts_of_a_batch_add_up_to_that_of_the_whole(seed: int, how: dict, parts: int) -> None:
    inputs, targets, weights = batch(seed)
    values = []
    for number in (1, parts):
        torch.manual_seed(seed)
        values.append(float(value_of(logits, inputs, targets, weights, number, **how)))
    assert values[1] == pytest.approx(values[0], rel=1e-5)


@light
@given(seeds, st.floats(0.0, 0.9))
def test_smoothed_labels_give_every_class_a_share(seed: int, share: float) -> None:
    inputs, targets, weights = batch(seed)
    surprise = -torch.log_softmax(inputs, dim=1)
    ours = (1 - share) * surprise[torch.arange(len(targets)), targets] + share * surprise.mean(dim=1)
    found = value_of(logits, inputs, targets, weights, label_smoothing=share)
    assert torch.isclose(found, (ours * weights).sum() / weights.sum(), atol=1e-5)


@light
@given(seeds, amounts)
def test_a_cut_picture_holds_a_rectangle_of_its_partner_and_the_loss_knows_how_much(seed: int, cutmix: float) -> None:
    count = 5
    pictures = torch.arange(count, dtype=torch.float32).view(count, 1, 1, 1).expand(count, 3, 16, 12).clone()
    torch.manual_seed(seed)
    blend = blended(Examples(pictures, torch.arange(count), torch.ones(count)), Objective(cutmix=cutmix))
    assert blend.second is not None
    partners = blend.second[0]
    assert sorted(partners.tolist()) == list(range(count))
    for number, picture in enumerate(blend.inputs[:, 0]):
        mine, other = picture == number, picture == float(partners[number])
        assert bool((mine | other).all())
        if number != int(partners[number]):
            assert float(mine.float().mean()) == pytest.approx(blend.share, abs=1e-6)
            rows, columns = other.any(dim=1), other.any(dim=0)
            assert bool(other[rows][:, columns].all()), "a rectangle"
    assert bool((pictures[:, 0, 0, 0] == torch.arange(count)).all()), "the batch itself is not written to"


def test_with_mixup_and_cutmix_batches_have_one_or_the_other_about_equally_often() -> None:
    torch.manual_seed(0)
    pictures, many = torch.rand(4, 3, 8, 8), 300
    cut = 0
    for _ in range(many):
        blend = blended(Examples(pictures, torch.arange(4), torch.ones(4)), Objective(mixup=1.0, cutmix=1.0))
        assert blend.second is not None
        known = (blend.inputs == pictures) | (blend.inputs == pictures[blend.second[0]])
        cut += bool(known.all())
    assert 0.4 < cut / many < 0.6


def focal(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Lin et al., arXiv:1708.02002, gamma 2."""
    surprise = torch.nn.functional.cross_entropy(scores, targets, reduction="none")
    return (1 - torch.exp(-surprise)) ** 2 * surprise


@light
@given(seeds)
def test_a_loss_of_ones_own_takes_the_place_of_the_cross_entropy(seed: int) -> None:
    inputs, targets, weights = batch(seed)
    found = value_of(logits, inputs, targets, weights, loss=CustomLoss.of(focal))
    assert torch.isclose(found, (focal(inputs, targets) * weights).sum() / weights.sum())


def test_what_is_wrong_with_an_objective_is_said() -> None:
    with pytest.raises(OptionError, match="mixup=-1"):
        Objective(mixup=-1)
    with pytest.raises(OptionError, match="cutmix=11"):
        Objective(cutmix=11)
    with pytest.raises(OptionError, match="label_smoothing=1"):
        Objective(label_smoothing=1.0)
    with pytest.raises(OptionError, match="take one"):
        Objective(label_smoothing=0.1, loss=CustomLoss.of(focal))
    assert 'loss_key="my-loss-v1"' in CustomLoss.of(torch.nn.CrossEntropyLoss()).untold
    assert CustomLoss.of(torch.nn.CrossEntropyLoss(), "my-loss-v1").untold == CustomLoss.of(focal).untold == ""
    with pytest.raises(OptionError, match=r"wanted a tensor of shape \(6,\)"):
        value_of(logits, *batch(0), loss=CustomLoss.of(torch.nn.functional.cross_entropy, "mean"))
    with pytest.raises(OptionError, match=r"unfreeze\(\) first"):
        value_of(logits, *batch(0), cutmix=1.0)


@light
@given(seeds)
def test_of_many_labels_it_is_the_mean_over_the_classes_of_the_binary_cross_entropy(seed: int) -> None:
    inputs, _, weights = batch(seed)
    marks = (torch.rand(6, CLASSES, generator=torch.Generator().manual_seed(seed)) > 0.5).to(torch.int8)
    there, absent = torch.nn.functional.logsigmoid(inputs), torch.nn.functional.logsigmoid(-inputs)
    ours = -torch.where(marks == 1, there, absent).mean(dim=1)
    assert torch.isclose(value_of(logits, inputs, marks, weights), (ours * weights).sum() / weights.sum(), atol=1e-6)


@light
@given(seeds, amounts)
def test_many_labels_are_mixed_smoothed_and_summed_in_parts_as_one_is(seed: int, mixup: float) -> None:
    inputs, _, weights = batch(seed)
    marks = torch.zeros(6, CLASSES, dtype=torch.int8)
    values = []
    for parts in (1, 3):
        torch.manual_seed(seed)
        values.append(value_of(logits, inputs, marks, weights, parts=parts, mixup=mixup, label_smoothing=0.2))
    assert torch.isclose(*values, atol=1e-5)
    assert values[0] > 0


@light
@given(seeds)
def test_the_asymmetric_loss_hardly_counts_what_is_clearly_absent(seed: int) -> None:
    inputs, _, _ = batch(seed)
    none, every = torch.zeros(6, CLASSES, dtype=torch.int8), torch.ones(6, CLASSES, dtype=torch.int8)
    assert torch.allclose(asymmetric_loss(inputs, every), -torch.nn.functional.logsigmoid(inputs).sum(dim=1), atol=1e-5)
    assert (asymmetric_loss(inputs, none) <= -torch.nn.functional.logsigmoid(-inputs).sum(dim=1)).all()
    assert (asymmetric_loss(torch.full((1, 3), -4.0), none[:1]) == 0).all()


def test_the_asymmetric_loss_can_be_given_as_a_loss() -> None:
    assert CustomLoss.of(asymmetric_loss).key
    inputs, _, weights = batch(0)
    marks = torch.eye(3, dtype=torch.int8).repeat(2, 1)
    assert value_of(logits, inputs, marks, weights, loss=CustomLoss.of(asymmetric_loss)) > 0
