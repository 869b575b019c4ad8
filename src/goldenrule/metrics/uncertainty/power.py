"""How many images would be needed to tell two networks apart, by what was seen on the images that there are."""

from __future__ import annotations

import math

from goldenrule.metrics.resampling import normal_quantile, tails

POWER, CONFIDENCE = 0.8, 0.95
"""With the images that are needed, a difference as large as the one seen is found so often."""
MOST_NAMED = 1_000_000


def images_for_mean(difference: float, deviation: float) -> int | None:
    """Return the images needed for the 95 % interval of a paired mean to leave out 0 with this `POWER`.

    `difference` is the mean of the paired differences and `deviation` their standard deviation, both taken to be the
    true ones: n = ((z_alpha/2 + z_beta) deviation / difference)^2. None where there is no difference.

    >>> images_for_mean(0.5, 1.0), images_for_mean(0.0, 1.0)
    (32, None)
    """
    if difference == 0:
        return None
    z = normal_quantile(tails(CONFIDENCE)[1]) + normal_quantile(POWER)
    return max(2, math.ceil((z * deviation / difference) ** 2))


def images_for_mcnemar(only_a: int, only_b: int, n: int) -> int | None:
    """Return the images needed for McNemar's exact test to find this difference at 5 % with this `POWER`.

    Of `n` images A alone was right on `only_a`, B alone on `only_b`; these shares are taken to be the true ones. With
    s their sum and d their difference n = (z_alpha/2 sqrt(s) + z_beta sqrt(s - d^2))^2 / d^2 (Miettinen 1968,
    Biometrics 24:339-352; Connor 1987, Biometrics 43:207-211), with the continuity correction that an exact test
    costs (Fleiss, Levin and Paik 2003, Statistical methods for rates and proportions, 2.6).
    None where there is no difference.

    >>> images_for_mcnemar(3, 9, 96), images_for_mcnemar(5, 5, 96)
    (280, None)
    """
    if only_a == only_b:
        return None
    either, difference = (only_a + only_b) / n, abs(only_a - only_b) / n
    z_level, z_power = normal_quantile(tails(CONFIDENCE)[1]), normal_quantile(POWER)
    smooth = ((z_level * math.sqrt(either) + z_power * math.sqrt(either - difference**2)) / difference) ** 2
    corrected = smooth / 4 * (1 + math.sqrt(1 + 4 / (smooth * difference))) ** 2
    return max(2, math.ceil(corrected))


def needed_text(needed: int | None, noun: str = "") -> str:
    """Return how many images would be needed, in two digits; it continues "tied on 96 images".

    `noun` is said where images have not been spoken of.

    >>> print(needed_text(2_317), needed_text(None), sep=chr(10))
    ; about 2,300 would be needed
    ; by what is seen no number of images would do
    """
    if needed is None:
        return "; by what is seen no number of images would do"
    if needed > MOST_NAMED:
        return f"; more than a million{noun and f' {noun}'} would be needed"
    return f"; about {in_two_digits(needed):,}{noun and f' {noun}'} would be needed"


def in_two_digits(number: float) -> int:
    """Return a number rounded to its first two digits.

    >>> in_two_digits(2_317), in_two_digits(85), in_two_digits(996)
    (2300, 85, 1000)
    """
    whole = round(number)
    return whole if whole < 100 else int(round(whole, 2 - len(str(whole))))
