"""Where a backbone is cut: at the last single tensor before the first late parameter."""

import pytest
import torch

from goldenrule.core.errors import BackboneError
from goldenrule.models.graphs.cutting import cut


class Skip(torch.nn.Module):
    """A skip connection from an early layer over the boundary into the late part."""

    def __init__(self):
        super().__init__()
        self.early, self.late = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)

    def forward(self, x):
        hidden = self.early(x)
        return self.late(torch.relu(hidden)) + hidden


class Chain(Skip):
    def forward(self, x):
        return self.late(torch.relu(self.early(x)))


class Two(Skip):
    """The late part reads the input itself, beside what the early part made of it."""

    def forward(self, x):
        return self.late(self.early(x)) + x


class Untraceable(Skip):
    def forward(self, x):
        return self.late(x) if x.sum() > 0 else self.early(x)


GROUPS = {f"{group}.{name}": group for group in ("early", "late") for name in ("weight", "bias")}
X = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))


def test_the_cut_is_as_late_as_it_can_be():
    backbone = Chain()
    prefix, suffix = cut(backbone, GROUPS)
    torch.testing.assert_close(prefix(X), torch.relu(backbone.early(X)))
    torch.testing.assert_close(suffix(prefix(X)), backbone(X))


def test_a_skip_over_the_boundary_moves_the_cut_before_it():
    backbone = Skip()
    prefix, suffix = cut(backbone, GROUPS)
    torch.testing.assert_close(prefix(X), backbone.early(X))
    torch.testing.assert_close(suffix(prefix(X)), backbone(X))
    assert {name for name, _ in prefix.named_parameters()} == {"early.weight", "early.bias"}
    assert {name for name, _ in suffix.named_parameters()} == {"late.weight", "late.bias"}


def test_both_halves_share_their_weights_with_the_body():
    backbone = Chain()
    prefix, suffix = cut(backbone, GROUPS)
    with torch.no_grad():
        backbone.early.weight.add_(1)
        suffix.late.weight.mul_(2)
    torch.testing.assert_close(suffix(prefix(X)), backbone(X))


def test_groups_that_more_than_one_tensor_joins_cannot_be_cut():
    with pytest.raises(BackboneError, match="joined by more than one tensor: no cut there"):
        cut(Two(), GROUPS)


def test_a_body_that_cannot_be_traced_cannot_be_cut():
    with pytest.raises(BackboneError, match="can't be traced"):
        cut(Untraceable(), GROUPS)
