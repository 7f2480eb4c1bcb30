"""The user's pip configuration: read as pip reports it, translated for uv, and its passwords kept out of sight."""

import os
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.install.commands import Commands, Log
from launcher.install.engine import PipEngine, UvEngine, find_uv
from launcher.install.index import PipSettings, parse_settings, read_pip_settings, uv_environment, uv_flags
from launcher.install.packages import installed
from launcher.install.secret import redact, secrets_in
from tests.tiny_wheels import make_index, make_wheel, serve


@pytest.fixture
def pip_config(tmp_path, monkeypatch):
    """Writes a pip configuration that is the only one pip sees (besides the computer's own)."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)

    def write(text):
        file = tmp_path / "pip.conf"
        file.write_text(text, encoding="utf-8")
        monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
        return read_pip_settings((Path(sys.executable), Path(sys._base_executable)), cwd=tmp_path)

    return write


# --- reading


def test_pip_itself_is_asked(pip_config):
    settings = pip_config(
        "[global]\nindex-url = https://one.test/simple\ntimeout = 7\nproxy = http://proxy.test:80\n"
        "find-links =\n    /srv/a\n    /srv/b\nextra-index-url = https://two.test/simple https://three.test/simple\n"
        "trusted-host = one.test\ncert = /etc/own.pem\nclient-cert = /etc/me.pem\nretries = 2\n"
    )
    assert settings.index == "https://one.test/simple"
    assert settings.extra_indexes == ("https://two.test/simple", "https://three.test/simple")
    assert settings.find_links == ("/srv/a", "/srv/b")
    assert settings.proxy == "http://proxy.test:80"
    assert settings.cert == "/etc/own.pem"
    assert settings.client_cert == "/etc/me.pem"
    assert settings.trusted_hosts == ("one.test",)
    assert settings.timeout_s == 7
    assert settings.retries == 2


def test_variables_win_over_files_and_install_over_global(pip_config, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://variable.test/simple")
    settings = pip_config(
        "[global]\nindex-url = https://file.test/simple\nproxy = http://global.test\n"
        "[install]\nproxy = http://install.test\n[download]\ntimeout = 99\n"
    )
    assert settings.index == "https://variable.test/simple"
    assert settings.proxy == "http://install.test"
    assert settings.timeout_s is None  # another command's section


def test_without_any_pip_the_variables_are_left(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://variable.test/simple")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    settings = read_pip_settings((tmp_path / "no python",), cwd=tmp_path)
    assert settings.index == "https://variable.test/simple"
    assert settings.no_index


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        ("", PipSettings()),
        ("nonsense\n=\nglobal.timeout='soon'\n", PipSettings()),
        ('global.index-url="https://it\'s.test/simple"', PipSettings(index="https://it's.test/simple")),
        ("global.no-index='false'", PipSettings(no_index=False)),
        (":env:.no-index='true'", PipSettings(no_index=True)),
        (
            "install.find-links='/a'\nglobal.find-links='/b'\n:env:.find-links='/c'",
            PipSettings(find_links=("/c",)),
        ),
    ],
)
def test_parse(listing, expected):
    assert parse_settings(listing) == expected


# --- translating


def test_every_setting_has_its_uv_word():
    settings = PipSettings(
        index="https://one.test/simple",
        extra_indexes=("https://two.test/simple", "file:///srv/three"),
        proxy="http://proxy.test:80",
        cert="/no/such/bundle.pem",
        client_cert="/me.pem",
        trusted_hosts=("one.test", "two.test:8443"),
        timeout_s=0.4,
        retries=0,
    )
    changes = uv_environment(settings, {})
    assert changes["UV_DEFAULT_INDEX"] == "https://one.test/simple"
    assert changes["UV_INDEX"] == "https://two.test/simple file:///srv/three"
    assert changes["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert changes["HTTPS_PROXY"] == changes["HTTP_PROXY"] == "http://proxy.test:80"
    assert changes["SSL_CERT_FILE"] == "/no/such/bundle.pem"
    assert changes["SSL_CLIENT_CERT"] == "/me.pem"
    assert changes["UV_INSECURE_HOST"] == "one.test two.test:8443"
    assert changes["UV_HTTP_TIMEOUT"] == "1"
    assert changes["UV_HTTP_RETRIES"] == "0"
    assert uv_flags(settings) == []


def test_no_index_leaves_only_the_links(tmp_path):
    settings = PipSettings(no_index=True, index="https://one.test/simple", find_links=(str(tmp_path),))
    assert uv_flags(settings) == ["--no-index"]
    assert {"UV_DEFAULT_INDEX", "UV_INDEX"}.isdisjoint(uv_environment(settings, {}))


def test_missing_folder_of_links_is_left_out_as_pip_does(tmp_path):
    settings = PipSettings(find_links=(str(tmp_path / "gone"), str(tmp_path), "https://links.test/page"))
    assert uv_environment(settings, {})["UV_FIND_LINKS"] == f"{tmp_path.as_uri()},https://links.test/page"


@pytest.mark.parametrize(
    ("own", "kept"),
    [
        ("UV_DEFAULT_INDEX", "UV_DEFAULT_INDEX"),
        ("UV_INDEX_URL", "UV_DEFAULT_INDEX"),
        ("UV_EXTRA_INDEX_URL", "UV_INDEX"),
        ("UV_HTTP_TIMEOUT", "UV_HTTP_TIMEOUT"),
    ],
)
def test_what_the_user_told_uv_wins(own, kept):
    settings = PipSettings(index="https://one.test", extra_indexes=("https://two.test",), timeout_s=5)
    assert kept in uv_environment(settings, {})
    assert kept not in uv_environment(settings, {own: "mine"})


def test_certificates_as_pip_finds_them(tmp_path):
    bundle = {"REQUESTS_CA_BUNDLE": "/corporate.pem"}
    assert uv_environment(PipSettings(), bundle)["SSL_CERT_FILE"] == "/corporate.pem"
    assert "SSL_CERT_FILE" not in uv_environment(PipSettings(), {**bundle, "SSL_CERT_DIR": "/etc/ssl/certs"})
    assert uv_environment(PipSettings(cert=str(tmp_path)), {})["SSL_CERT_DIR"] == str(tmp_path)
    assert uv_environment(PipSettings(), {})["UV_SYSTEM_CERTS"] == "1"


# --- secrets


@given(
    name=st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=3, max_size=10),
    password=st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=8, max_size=20),
)
def test_no_password_survives_redaction(name, password):
    # `x` in front: a password made of the very words around it could not be told from them
    password = "x" + password
    url = f"https://{quote(name, safe='')}:{quote(password, safe='')}@index.test/simple/"
    text = redact(f"error: {url} refused\npassword {password}, {quote(password, safe='')}", secrets_in([url]))
    assert password not in text
    assert quote(password, safe="") not in text
    assert "@index.test/simple/" in text


@pytest.mark.parametrize(
    "text",
    [
        "https://s3cret@host.test/simple",
        "https://me:s3cret@host.test/simple",
        "https://me:s3@s3cret@host.test/simple",
        "https://host.test/simple?access_token=s3cret&x=1",
        "http://me:s3cret@proxy.test:3128",
    ],
)
def test_redaction_needs_no_list(text):
    assert "s3cret" not in redact(f"see {text} for more")


def test_redaction_leaves_the_rest():
    text = "Downloading torch (182.9MiB) from https://host.test/whl/cpu/torch-2.13.0%2Bcpu.whl to a@b"
    assert redact(text) == text


# --- real tools


@pytest.fixture
def wheels(tmp_path):
    folder = tmp_path / "a, b'; 訓練"
    make_wheel(folder, "tiny-thing", "1.0")
    return folder


def engines(settings, tmp_path):
    commands = Commands(
        settings=settings, cache=tmp_path / "cache", log=Log(tmp_path / "install.log", settings.secrets)
    )
    uv = find_uv(commands)
    assert uv, "uv is one of the launcher's packages"
    return {"uv": UvEngine(commands=commands, program=uv), "pip": PipEngine(commands=commands)}


def test_uv_finds_what_only_pip_was_told(pip_config, wheels, tmp_path):
    settings = pip_config(f"[global]\nno-index = true\nfind-links = {wheels.as_uri()}\n")
    engine = engines(settings, tmp_path)["uv"]
    venv = tmp_path / "venv"
    engine.make(venv, Path(sys._base_executable), lambda _: None)
    engine.install(venv, ["tiny-thing==1.0"], lambda _: None)
    assert installed(venv) == {"tiny-thing": "1.0"}


def test_best_of_all_indexes_as_pip(pip_config, tmp_path):
    """uv alone stops at the first index that knows a name; pip takes the best version of all."""
    old = make_index(tmp_path / "old", make_wheel(tmp_path, "tiny-thing", "1.0"))
    new = make_index(tmp_path / "new", make_wheel(tmp_path, "tiny-thing", "2.0"))
    settings = pip_config(f"[global]\nindex-url = {new.as_uri()}\nextra-index-url = {old.as_uri()}\n")
    engine = engines(settings, tmp_path)["uv"]
    venv = tmp_path / "venv"
    engine.make(venv, Path(sys._base_executable), lambda _: None)
    engine.install(venv, ["tiny-thing"], lambda _: None)
    assert installed(venv) == {"tiny-thing": "2.0"}


@pytest.mark.parametrize("name", ["uv", "pip"])
def test_index_behind_a_password(name, pip_config, tmp_path):
    index = make_index(tmp_path / "index", make_wheel(tmp_path, "tiny-thing", "1.0"))
    with serve(index, password="me:s3cret@word") as host:
        settings = pip_config(f"[global]\nindex-url = http://me:s3cret%40word@{host}/\n")
        engine = engines(settings, tmp_path)[name]
        venv = tmp_path / "venv"
        engine.make(venv, Path(sys._base_executable), lambda _: None)
        engine.install(venv, ["tiny-thing==1.0"], lambda _: None)
        assert installed(venv)["tiny-thing"] == "1.0"
        with pytest.raises(Exception, match="no-such-thing could not be installed") as caught:
            engine.install(venv, ["no-such-thing==1.0"], lambda _: None)
    log = (tmp_path / "install.log").read_text(encoding="utf-8")  # has every command line and all output
    for text in (log, caught.value.why, caught.value.what):
        assert "s3cret" not in text
    assert "no-such-thing" in log
