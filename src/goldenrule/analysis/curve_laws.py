"""How an error falls with the images that were learned from: laws, fitted to resampled curves, and what they forecast.

Three laws, none of which is known to be the true one: a + b n^-c (Cortes and others 1994, "Learning curves: asymptotic
values and rate of convergence"; Hestness and others 2017, arXiv:1712.00409), the same without a floor (a = 0), and
a + b exp(-c n). Viering and Loog (2022), "The shape of learning curves: a review", find no law that is best everywhere,
so that each has an equal share here, and where they disagree the interval is wide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from goldenrule.core.randomness import generator

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """How an error falls with more images: by a power or exponentially, to zero or to a floor."""

    exponential: bool
    floor: bool


LAWS = (
    Law(exponential=False, floor=True),
    Law(exponential=False, floor=False),
    Law(exponential=True, floor=True),
)
EXPONENTS = np.geomspace(0.05, 2.0, 40)
RATES = np.geomspace(0.2, 20.0, 40)
"""Of the exponential, per as many images as the largest size has."""
SPAN = 16
"""Laws are fitted to the sizes from a sixteenth of the largest on: with very few images no law holds."""
MOST_UNITS = 5_000
RESAMPLES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecasts:
    """One law per resample: floor a, height b and speed c (resamples,), n counted in units of `scale` images."""

    law: npt.NDArray[np.int64]  # of LAWS
    floor: Floats
    height: Floats
    speed: Floats
    scale: float

    @property
    def _exponential(self) -> npt.NDArray[np.bool_]:
        return np.array([law.exponential for law in LAWS])[self.law]

    def at(self, images: float) -> Floats:
        """Return the error (resamples,) after so many images."""
        x = images / self.scale
        falling = np.where(self._exponential, np.exp(-self.speed * x), x**-self.speed)
        return np.asarray(self.floor + self.height * falling)

    def images_for(self, error: float | Floats) -> Floats:
        """Return the images (resamples,) after which an error, one or of each resample, is reached; inf where never."""
        share = (error - self.floor) / np.maximum(self.height, 1e-300)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            power = np.maximum(share, 0.0) ** (-1 / self.speed)
            exponential = np.maximum(-np.log(np.maximum(share, 0.0)) / self.speed, 0.0)
        x = np.where(self._exponential, exponential, power)
        return np.asarray(np.where(share <= 0, np.inf, x * self.scale))


def resampled_curves(
    losses: npt.NDArray[np.float32], units: npt.NDArray[np.int64], *, shares: bool, seed: int = 0
) -> Floats:
    """Return mean losses (resamples, sizes) of resampled units of images and resampled draws.

    `losses` (sizes, draws, n), `units` (n,) numbered from 0. The Bayesian bootstrap (Rubin 1981): weights are
    exponential, the same at every size. Where losses are `shares` (0 or 1), half an image that is wrong and half a
    one that is right are added as in Jeffreys's interval: no mistake among 50 images does not mean that there is none.
    More than 5,000 units are resampled in as many groups.
    """
    sizes, draws, n = losses.shape
    random = generator(seed, "learning curve resamples")
    count = int(units.max()) + 1
    if count > MOST_UNITS:
        units = random.permutation(np.arange(count) % MOST_UNITS)[units]
        count = MOST_UNITS
    sums = np.zeros((count, sizes * draws))
    np.add.at(sums, units, losses.reshape(sizes * draws, n).T)
    weights = random.standard_exponential((RESAMPLES, count))
    total = weights @ np.bincount(units, minlength=count)
    means = (weights @ sums).reshape(RESAMPLES, sizes, draws)
    if shares:
        wrong, right = random.gamma(0.5, size=(2, RESAMPLES))
        means += wrong[:, None, None]
        total = total + wrong + right
    of_draws = random.dirichlet(np.ones(draws), RESAMPLES)
    return np.asarray(np.einsum("rsd,rd->rs", means, of_draws) / total[:, None])


def fitted(sizes: npt.NDArray[np.int64], curves: Floats, *, seed: int = 0) -> Forecasts:
    """Fit one of the laws, each with an equal chance, to each of the curves (resamples, sizes).

    Least squares, each size weighted by the inverse of its variance; a, b >= 0, .05 <= c <= 2.
    """
    kept = sizes * SPAN >= sizes[-1] * 0.99
    kept[-4:] = True
    kept_curves, scale = curves[:, kept], float(sizes[-1])
    x = sizes[kept] / scale
    weights = 1 / np.maximum(kept_curves.var(axis=0), 1e-10)
    weights /= weights.mean()
    every = [_fit(kept_curves, weights, *_falling(law, x), floor=law.floor) for law in LAWS]
    law = generator(seed, "learning curve laws").integers(0, len(LAWS), len(curves))
    floor, height, speed = (np.choose(law, [fit[part] for fit in every]) for part in range(3))
    return Forecasts(law=law, floor=floor, height=height, speed=speed, scale=scale)


def _falling(law: Law, x: Floats) -> tuple[Floats, Floats]:
    """Return the falling part of a law (speeds, sizes), and the speeds."""
    if law.exponential:
        return np.exp(-RATES[:, None] * x), RATES
    return x ** -EXPONENTS[:, None], EXPONENTS


def _fit(
    curves: Floats, weights: Floats, falling: Floats, speeds: Floats, *, floor: bool
) -> tuple[Floats, Floats, Floats]:
    """Return floor, height and speed (resamples,) of the least weighted squares.

    For a given speed the law is linear in floor and height: where the best of both is not allowed, the best lies on
    an edge, where one of them is 0.
    """
    total, of_falling, squares = weights.sum(), falling @ weights, (falling**2) @ weights
    of_curves = (curves @ weights)[:, None]
    both = (curves * weights) @ falling.T  # (resamples, speeds)
    tried = [(np.zeros_like(both), np.maximum(both / squares, 0.0))]
    if floor:
        determinant = total * squares - of_falling**2
        height = (total * both - of_falling * of_curves) / determinant
        tried.append(((of_curves - height * of_falling) / total, height))
        tried.append((np.broadcast_to(of_curves / total, both.shape), np.zeros_like(both)))

    def excess(a: Floats, b: Floats) -> Floats:
        """Return the weighted squares but for a constant, inf where a or b is not allowed."""
        value = a * a * total + 2 * a * b * of_falling + b * b * squares - 2 * a * of_curves - 2 * b * both
        return np.where((a < 0) | (b < 0), np.inf, value)

    costs = np.stack([excess(a, b) for a, b in tried])
    edge, speed = np.divmod(costs.transpose(1, 0, 2).reshape(len(curves), -1).argmin(axis=1), falling.shape[0])
    rows = np.arange(len(curves))
    floors, heights = (np.stack([pair[part] for pair in tried])[edge, rows, speed] for part in range(2))
    return floors, heights, speeds[speed]
