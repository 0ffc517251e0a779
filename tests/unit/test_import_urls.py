"""Which URLs and which addresses are fetched for a user."""

from ipaddress import ip_address

import pytest

from media_service.exceptions import MediaServiceError
from media_service.imports.addresses import is_public, parsed
from media_service.imports.urls import ImportUrl

PORTS = (80, 443)

REFUSED_URLS = [
    "",
    "photo.jpg",
    "//example.org/a",
    "ftp://example.org/a",
    "file:///etc/passwd",
    "gopher://example.org/_x",
    "data:text/plain,x",
    "javascript:alert(1)",
    "http://",
    "http:///a",
    "http://user@example.org/",
    "http://user:password@example.org/",
    "http://@example.org/",
    "http://example.org:22/",
    "http://example.org:8000/",
    "http://example.org:0/",
    "http://example.org:99999/",
    "http://example.org:x/",
    "http://example.org\\@127.0.0.1/",
    "http://example.org/a b",
    "http://example.org/\r\nX: y",
    "http://example.org/\x00",
    "http://exa mple.org/",
    "http://exam\tple.org/",
    "http://[::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[::1/",
    "http://[nonsense]/",
    "http://-example.org/",
    "http://example.org#@127.0.0.1:80\\/",
    "http://ex%61mple.org/",
    "http://*/",
    "http://a..b/",
    "http://example.org/" + "a" * 5000,
]

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "172.15.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "100.63.255.255",
    "100.128.0.1",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
]

NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("text", REFUSED_URLS)
def test_url_is_refused_and_not_repeated(text: str):
    with pytest.raises(MediaServiceError) as caught:
        ImportUrl.parse(text, ports=PORTS)
    assert caught.value.code == "import-url-refused"
    assert "password" not in caught.value.detail.replace("no password", "")


@pytest.mark.parametrize(
    ("text", "host", "port", "target"),
    [
        ("http://example.org", "example.org", 80, "/"),
        ("https://example.org/a/b.jpg?x=1&y=%20", "example.org", 443, "/a/b.jpg?x=1&y=%20"),
        ("HTTP://EXAMPLE.org:80/", "example.org", 80, "/"),
        ("http://example.org:443/#part", "example.org", 443, "/"),
        ("https://bücher.example/ü?q=ü", "xn--bcher-kva.example", 443, "/%C3%BC?q=%C3%BC"),
        ("http://1.1.1.1/", "1.1.1.1", 80, "/"),
        ("http://[2606:4700:4700::1111]:443/", "2606:4700:4700::1111", 443, "/"),
        ("http://example.org.", "example.org.", 80, "/"),
    ],
)
def test_url_is_taken_apart_once(text: str, host: str, port: int, target: str):
    url = ImportUrl.parse(text, ports=PORTS)
    assert (url.host, url.port, url.target) == (host, port, target)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/other", "https://example.org/other"),
        ("other", "https://example.org/a/other"),
        ("//else.example/x", "https://else.example/x"),
        ("https://else.example/x", "https://else.example/x"),
    ],
)
def test_redirect_is_resolved_against_its_origin(location: str, expected: str):
    url = ImportUrl.parse("https://example.org/a/b", ports=PORTS)
    assert url.joined(location, ports=PORTS).text == expected


@pytest.mark.parametrize(
    "location", ["http://example.org/", "file:///etc/passwd", "https://u@example.org/", "https://a:22/"]
)
def test_redirect_is_judged_like_any_url(location: str):
    url = ImportUrl.parse("https://example.org/", ports=PORTS)
    with pytest.raises(MediaServiceError):
        url.joined(location, ports=PORTS)


@pytest.mark.parametrize("text", PUBLIC)
def test_public_address_is_public(text: str):
    assert is_public(ip_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_address_that_is_not_public_is_not(text: str):
    assert not is_public(parsed(text))
