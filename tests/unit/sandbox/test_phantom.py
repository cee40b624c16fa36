"""gateway/sandbox/phantom.py"""

from __future__ import annotations

import numpy as np

from gateway.sandbox.phantom import HEAD, TORSO, Ellipsoid, Phantom, project

BALL = Ellipsoid(0.5, 0, 0, 0.25, 0.25, 0.5, 100)


def test_an_ellipsoid_is_where_it_belongs():
    image = Phantom([BALL], 64, 1).draw(0, -5, 0)
    assert image[32, 48] == 100
    assert image[32, 16] == -5
    assert abs(np.mean(image > 50) / (np.pi * 0.25**2 / 4) - 1) < 0.1


def test_it_shrinks_with_z_and_ends():
    phantom = Phantom([BALL], 64, 1)
    areas = [np.count_nonzero(phantom.draw(z, 0, 0) > 50) for z in (0, 0.25, 0.45, 0.55)]
    assert areas == sorted(areas, reverse=True)
    assert areas[-1] == 0 < areas[-2]


def test_later_ellipsoids_replace_earlier_ones():
    inner = Ellipsoid(0.5, 0, 0, 0.1, 0.1, 0.5, 7)
    assert Phantom([BALL, inner], 64, 1).draw(0, 0, 0)[32, 48] == 7
    assert Phantom([inner, BALL], 64, 1).draw(0, 0, 0)[32, 48] == 100


def test_signals_take_the_place_of_values():
    assert Phantom([BALL], 64, 1, {100: 3.0}).draw(0, 0, 0)[32, 48] == 3


def test_noise_is_reproducible_and_different_for_each_slice():
    first, second = (Phantom(TORSO, 64, 5) for _ in range(2))
    assert np.array_equal(first.draw(0.1, -1000, 10, 1), second.draw(0.1, -1000, 10, 1))
    assert not np.array_equal(first.draw(0.1, -1000, 10, 1), first.draw(0.1, -1000, 10, 2))
    corner = first.draw(0, -1000, 10)[:8, :8]
    assert 4 < corner.std() < 20


def test_parts_outside_the_image_do_no_harm():
    assert Phantom([Ellipsoid(3, 3, 0, 0.1, 0.1, 1, 9)], 32, 1).draw(0, 1, 0).max() == 1


def test_a_projection_adds_up_what_the_rays_pass():
    image = project([Ellipsoid(0, 0, 0, 0.5, 0.3, 0.5, 1000)], 65, 65)
    assert abs(image[32, 32] - 0.6) < 1e-6
    assert image[0, 0] == 0
    assert np.allclose(image, image[:, ::-1])


def test_the_head_looks_up_every_tissue():
    assert {part.value for part in HEAD} == {1, 2, 3, 4, 5, 6, 7}
