import realtime_er as rer


def test_all_is_sorted_and_every_name_imports():
    assert rer.__all__ == sorted(rer.__all__)
    for name in rer.__all__:
        assert getattr(rer, name) is not None


def test_unknown_name_is_an_attribute_error():
    assert not hasattr(rer, "Emotion")
