"""The digest of every file of a table."""

from goldenrule.data.pictures.file_digests import with_digests
from goldenrule.data.sources.folders import from_folder
from goldenrule.storage.files import digest


def test_digests_are_those_of_the_bytes_and_a_file_that_cannot_be_opened_is_a_finding(picture_folder):
    root = picture_folder(each=3)
    table = from_folder(root)
    (root / "red" / "01.png").unlink()
    read_table = with_digests(table, threads=2)
    for uri, found in zip(read_table.uris, read_table.digests, strict=True):
        assert found == (None if uri == "red/01.png" else digest((root / uri).read_bytes()))
    (finding,) = read_table.findings
    assert finding.code == "unreadable"
    assert finding.evidence == ("red/01.png: No such file or directory",)
    assert table.digests == [None] * 6
