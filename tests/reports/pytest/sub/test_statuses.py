"""A file of the same name in another folder, with a test of the same name."""


def test_passes():
    pass
