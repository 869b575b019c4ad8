from pathlib import Path

from goldenrule.storage.cache_folder import cache_folder


def test_the_cache_is_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("GOLDENRULE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("GOLDENRULE_CACHE", "~/somewhere")
    assert cache_folder() == Path.home() / "somewhere"


def test_by_default_it_is_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GOLDENRULE_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder().name == "goldenrule"
