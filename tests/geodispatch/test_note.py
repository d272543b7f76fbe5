"""Signed notes and checkpoints, as C2SP writes them."""

from __future__ import annotations

import pytest

from geodispatch.errors import InvalidNote
from geodispatch.note import Checkpoint, SignatureType, Signer, Verifier

# The example of the Go package golang.org/x/mod/sumdb/note, which the specification was made of.
KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"

# The example of c2sp.org/tlog-cosignature: a checkpoint with the log's signature and a witness's.
COSIGNED = (
    "example.com/behind-the-sofa\n"
    "20852163\n"
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    "\n"
    "\u2014 example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "\u2014 witness.example.com/w1 "
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)


def test_the_examples_of_others_are_read() -> None:
    verifier = Verifier.parse(KEY)
    assert str(verifier) == KEY
    assert verifier.open(NOTE) == NOTE.split("\n\n")[0] + "\n"
    signer = Signer.parse(SECRET)
    assert str(signer.verifier) == KEY
    assert signer.text() == SECRET
    assert signer.sign(verifier.open(NOTE)) == NOTE  # Ed25519 is deterministic
    text = COSIGNED.split("\n\n")[0] + "\n"
    checkpoint = Checkpoint.parse(text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert checkpoint.text() == text


def test_a_cosignature_is_one_line_more_and_says_when() -> None:
    log = Signer.draw("city.example/record", SignatureType.NOTE)
    witness = Signer.draw("witness.example", SignatureType.COSIGNATURE)
    note = log.sign(Checkpoint(log.name, 7, bytes(32)).text())
    cosigned = witness.cosign(note, 1_679_315_147)
    assert cosigned.startswith(note)
    assert Verifier.parse(str(log.verifier)).open(cosigned) == Verifier.parse(str(witness.verifier)).open(cosigned)
    line = cosigned.splitlines()[-1].split(" ")[2]
    moved = cosigned.replace(line, witness.cosign(note, 1_679_315_148).splitlines()[-1].split(" ")[2][:20] + line[20:])
    with pytest.raises(InvalidNote, match=r"the signature of witness\.example is wrong"):
        witness.verifier.open(moved)


@pytest.mark.parametrize(
    ("note", "reason"),
    [
        (NOTE.replace("answer", "Answer"), "the signature of PeterNeumann is wrong"),
        (NOTE.replace("PeterNeumann", "PeterNeuman"), "it is not signed by PeterNeumann"),
        (NOTE.replace("x08go", "x08gp"), "it is not signed by PeterNeumann"),
        (NOTE.split("\n\n")[0], "it is no signed note"),
        (NOTE.replace("\u2014", "-"), "it is no signed note"),
        (NOTE.replace("=\n", "\n"), "is no base64"),
        ("", "it is no signed note"),
    ],
)
def test_a_note_that_the_key_did_not_sign_is_refused(note: str, reason: str) -> None:
    with pytest.raises(InvalidNote, match=reason):
        Verifier.parse(KEY).open(note)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "PeterNeumann",
        KEY.replace("c74f20a3", "c74f20a4"),
        KEY.replace("c74f20a3", "C74F20A3"),
        KEY[:-4],
        KEY.replace("ARpc", "AApc"),
        "+" + KEY,
    ],
)
def test_a_key_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(InvalidNote):
        Verifier.parse(line)


@pytest.mark.parametrize("line", [KEY, SECRET[:-4], SECRET.replace("AYEK", "AYEL"), "PRIVATE+KEY+"])
def test_a_secret_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(InvalidNote):
        Signer.parse(line)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "a\nb", "a\u00a0b"])
def test_a_name_that_a_note_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(InvalidNote):
        Signer.draw(name, SignatureType.NOTE)


@pytest.mark.parametrize(
    "text",
    [
        "o\n1\n",
        "o\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "o\n-1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "o\n1\nCsUY\n",
        "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=",
        "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
    ],
)
def test_a_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(InvalidNote, match="it is no checkpoint"):
        Checkpoint.parse(text)
