"""Times and dates are those of `datetime` and `zoneinfo`: clock changes, epochs, forms of .NET and SAP, days of a plant."""

import calendar
import datetime as dt
import functools
import importlib.resources
import re
import zoneinfo
from fractions import Fraction

import pytest
import tzdata

from mfgroute._core import __zone_rules__

from .batches import SIZE, Plant, batches, written

UTC = dt.UTC
EPOCH = dt.datetime(1970, 1, 1, tzinfo=UTC)
SECOND = dt.timedelta(seconds=1)
#: Zones with clock changes of every kind: half hours, two hours, the date line, Ramadan, the winter that is the exception,
#: changes at midnight, seconds in the offset of old times, changes that were given up; and without any.
ZONES = [
    "Europe/Berlin", "Europe/London", "Europe/Dublin", "Europe/Lisbon", "Europe/Istanbul", "Europe/Moscow", "Africa/Casablanca", "Africa/Cairo",
    "America/New_York", "America/St_Johns", "America/Sao_Paulo", "America/Caracas", "America/Havana", "America/Asuncion", "America/Chicago",
    "America/Scoresbysund", "Asia/Tehran", "Asia/Amman", "Asia/Gaza", "Asia/Kathmandu", "Asia/Kolkata", "Asia/Pyongyang", "Asia/Shanghai", "Asia/Tokyo",
    "Australia/Lord_Howe", "Australia/Sydney", "Antarctica/Troll", "Pacific/Apia", "Pacific/Auckland", "Pacific/Chatham", "Pacific/Kwajalein", "UTC",
]  # fmt: skip


#: Both have their copy of the database. Rules for times to come differ between releases, so those are compared only
#: where both copies are of one release.
YEARS = [int(release[:4]) for release in (tzdata.IANA_VERSION, __zone_rules__)]
NEWEST = 2200 if __zone_rules__ == tzdata.IANA_VERSION else min(YEARS) - 1


def zone_of(name):
    """From the locked package, not from the machine: the engine has its own copy of the same database."""
    with importlib.resources.files("tzdata.zoneinfo").joinpath(name).open("rb") as file:
        return zoneinfo.ZoneInfo.from_file(file, key=name)


ZONE = {name: zone_of(name) for name in ZONES}


def plain(instant, nanoseconds=0):
    """As the specification prints an instant: UTC, no zeros at the end of the fraction."""
    text = instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    fraction = f"{nanoseconds:09}".rstrip("0")
    return text + (f".{fraction}" if fraction else "") + "Z"


def changes(zone, year):
    """The local times at which a clock is changed in a year, as shown before."""
    day, end = dt.datetime(year, 1, 1, tzinfo=UTC), dt.datetime(year + 1, 1, 1, tzinfo=UTC)
    step = dt.timedelta(days=3)
    while day < end:
        before = day.astimezone(zone).utcoffset()
        if before != (day + step).astimezone(zone).utcoffset():
            low, high = day, day + step
            while high - low > SECOND:
                middle = low + (high - low) // 2
                middle = middle.replace(microsecond=0)
                low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
            yield (high + before).replace(tzinfo=None)
        day += step


CHANGES = {}


def local_time(draw, name):
    """A local time in a zone, mostly near one of its changes."""
    year = (
        draw.randint(1972, min(2037, NEWEST))
        if draw.random() < 0.8
        else draw.randint(min(2038, NEWEST), NEWEST)
    )
    if (name, year) not in CHANGES:
        CHANGES[name, year] = list(changes(ZONE[name], year))
    near = CHANGES[name, year]
    if near and draw.random() < 0.8:
        seconds = draw.choice(
            [
                draw.randint(-7300, 7300),
                draw.randint(-90_000, 90_000),
                draw.choice([0, 1, -1, 3599, 3600, 1800, -3600]),
            ]
        )
        return draw.choice(near) + dt.timedelta(seconds=seconds)
    return dt.datetime.fromisoformat(f"{year}-01-01") + dt.timedelta(seconds=draw.randint(0, 364 * 86_400))


KINDS = [("earlier", "shift"), ("later", "shift"), ("reject", "reject")]


@pytest.fixture(scope="module")
def clocks(tmp_path_factory):
    """Readers of local times in a zone, one for each way to declare it."""

    def plant(name, ambiguous, nonexistent):
        how = f"path: t, zone: {name}, ambiguous: {ambiguous}, nonexistent: {nonexistent}"
        return Plant(tmp_path_factory.mktemp("zone"), f"at: {{time: {{{how}}}}}")

    return functools.cache(lambda name: {kind: plant(name, *kind) for kind in KINDS})


@batches
def test_local_times_are_read_as_zoneinfo_reads_them(clocks, draw):
    for name in draw.sample(ZONES, 8):
        times = [local_time(draw, name) for _ in range(SIZE // 8)]
        wanted = {kind: [] for kind in KINDS}
        for time in times:
            first, second = (time.replace(tzinfo=ZONE[name], fold=fold) for fold in (0, 1))
            before, after = plain(first), plain(second)
            gap, fold = first.utcoffset() < second.utcoffset(), first.utcoffset() > second.utcoffset()
            # In a gap both folds are times that do not exist; fold 0 is the clock before the change.
            wanted["earlier", "shift"].append(before)
            wanted["later", "shift"].append(before if gap else after)
            wanted["reject", "reject"].append(
                "time_nonexistent" if gap else "time_ambiguous" if fold else before
            )
        for kind, plant in clocks(name).items():
            made = plant.run([{"t": time.isoformat(sep=draw.choice("T "))} for time in times])
            for time, found, right in zip(times, made, wanted[kind], strict=True):
                assert (found if isinstance(found, str) else found["at"]) == right, (name, time, kind)


def test_each_kind_of_change_was_met(clocks):
    """The test above sees gaps and folds, also of half an hour and of a whole day."""
    sizes = set()
    for name, year in [
        ("Europe/Berlin", 2026),
        ("Australia/Lord_Howe", 2026),
        ("Pacific/Apia", 2011),
        ("Antarctica/Troll", 2026),
    ]:
        for time in changes(ZONE[name], year):
            first, second = (time.replace(tzinfo=ZONE[name], fold=fold).utcoffset() for fold in (0, 1))
            sizes.add((second - first) // dt.timedelta(minutes=1))
    assert sizes >= {60, 30, 1440, 120}
    [found] = clocks("Pacific/Apia")["reject", "reject"].run([{"t": "2011-12-30T12:00:00"}])
    assert found == "time_nonexistent"


@pytest.fixture(scope="module")
def plants(tmp_path_factory):
    def plant(how):
        return Plant(tmp_path_factory.mktemp("time"), f"at: {{time: {{{how}}}}}")

    forms = {
        "epoch_s": "path: t, format: epoch_s", "epoch_ms": "path: t, format: epoch_ms", "epoch_us": "path: t, format: epoch_us",
        "epoch_ns": "path: t, format: epoch_ns", "dotnet": "path: t, format: dotnet", "rfc": "path: t",
        "sap": 'join: [d, t], format: "%Y%m%d %H%M%S", zone: Europe/Berlin, ambiguous: earlier, nonexistent: shift',
        "odata": 'join: [d, t], format: "%Y-%m-%d PT%HH%MM%SS", zone: Europe/Berlin, ambiguous: earlier, nonexistent: shift',
        "german": 'path: t, format: "%d.%m.%Y %H:%M:%S", zone: UTC',
    }  # fmt: skip
    return {name: plant(how) for name, how in forms.items()}


FIRST, LAST = -62_135_596_800, 253_402_300_799


def since_1970(value, digits):
    """The instant so many units after 1970, cut to the nanosecond before it, or the code of its reject."""
    nanoseconds = value * 10 ** (9 - digits)
    nanoseconds = nanoseconds.numerator // nanoseconds.denominator
    seconds, rest = divmod(nanoseconds, 10**9)
    if not FIRST <= seconds <= LAST:
        return "bad_time"
    return plain(EPOCH + dt.timedelta(seconds=seconds), rest)


@batches
@pytest.mark.parametrize(
    ("form", "digits"), [("epoch_s", 0), ("epoch_ms", 3), ("epoch_us", 6), ("epoch_ns", 9)]
)
def test_numbers_since_1970_are_exact(plants, draw, form, digits):
    def number():
        whole = draw.choice(
            [
                draw.randint(0, 4 * 10**9),
                draw.randint(FIRST, LAST),
                draw.choice([FIRST, FIRST - 1, LAST, LAST + 1, 0, -1]),
            ]
        )
        text = str(Fraction(whole) * 10**digits)
        if draw.random() < 0.5:
            text += "." + "".join(draw.choices("0123456789", k=draw.randint(1, 12)))
        return draw.choice([text, text, text + "e0", written(draw)])

    texts = [number() for _ in range(SIZE // 4)]
    made = plants[form].run([{"t": text} for text in texts])
    for text, found in zip(texts, made, strict=True):
        right = since_1970(Fraction(text), digits)
        assert (found if isinstance(found, str) else found["at"]) == right, text


@batches
def test_the_dates_of_dotnet_are_milliseconds_and_their_offset_moves_nothing(plants, draw):
    def one():
        milliseconds = draw.choice([draw.randint(-(10**13), 10**13), draw.randint(FIRST * 1000, LAST * 1000)])
        offset = draw.choice(
            ["", "", f"{draw.choice('+-')}{draw.randint(0, 14):02}{draw.choice(['00', '30', '45'])}"]
        )
        return milliseconds, f"/Date({milliseconds}{offset})/"

    bad = [
        "/Date()/",
        "/Date(1)",
        "Date(1)",
        "/Date(1+1)/",
        "/Date(1+0100)/ ",
        "/Date(+1)/",
        "/Date(x)/",
        "/Date(1+2500)/",
        "\\/Date(1)\\/",
        "/Date(1+01000)/",
    ]
    pairs = [one() for _ in range(SIZE // 2)]
    made = plants["dotnet"].run([{"t": text} for _, text in pairs] + [{"t": text} for text in bad])
    for (milliseconds, text), found in zip(pairs, made, strict=False):
        assert found == {"at": since_1970(Fraction(milliseconds), 3)}, text
    assert dict(zip(bad, made[len(pairs) :], strict=True)) == dict.fromkeys(bad, "bad_time")


def digits(draw, *widths):
    """Parts of a date or time, some of them out of range."""
    return [
        str(
            draw.randint(0, 10**width - 1)
            if draw.random() < 0.03
            else draw.randint(1, 28 if width == 2 else 9999)
        ).zfill(width)
        for width in widths
    ]


def sap_instant(date, hour, minute, second):
    """What SAP means by a date and a time, in Berlin; 24:00:00 is the end of the day."""
    try:
        day = dt.datetime.fromisoformat(f"{date[:4]}-{date[4:6]}-{date[6:]}")
    except ValueError:
        return "bad_time"
    hour, minute, second = int(hour), int(minute), int(second)
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute, min(second, 59)) != (0, 0)):
        return "bad_time"
    local = day + dt.timedelta(hours=hour, minutes=minute, seconds=min(second, 59))
    if not 1972 <= local.year <= 2200:
        return None
    return plain(local.replace(tzinfo=ZONE["Europe/Berlin"]))


@batches
def test_dates_and_times_of_sap_are_read_in_the_zone_of_the_plant(plants, draw):
    items, odata, wanted = [], [], []
    for _ in range(SIZE):
        year, month, day, hour, minute, second = digits(draw, 4, 2, 2, 2, 2, 2)
        year = year if draw.random() < 0.1 else str(draw.randint(1972, 2100))
        month, hour = (
            (month if draw.random() < 0.3 else f"{draw.randint(1, 12):02}"),
            (hour if draw.random() < 0.3 else f"{draw.randint(0, 24):02}"),
        )
        if draw.random() < 0.1:
            year, month, day = "0000", "00", "00"
        items.append({"d": year + month + day, "t": hour + minute + second})
        odata.append({"d": f"{year}-{month}-{day}", "t": f"PT{hour}H{minute}M{second}S"})
        wanted.append(sap_instant(year + month + day, hour, minute, second))
    for form, rows in (("sap", items), ("odata", odata)):
        for item, found, right in zip(rows, plants[form].run(rows), wanted, strict=True):
            if right is not None:
                assert (found if isinstance(found, str) else found["at"]) == right, item


RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)


def rfc_instant(text):
    """RFC 3339 §5.6: a leap second is the second before it here; a fraction is cut."""
    found = RFC3339.fullmatch(text)
    if not found:
        return "bad_time"
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    hours, minutes = int(found[9] or 0), int(found[10] or 0)
    valid = year >= 1 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]
    if not (valid and hour < 24 and minute < 60 and second <= 60 and hours < 24 and minutes < 60):
        return "bad_time"
    offset = (hours * 60 + minutes) * (-60 if found[8] == "-" else 60)
    seconds = (
        dt.datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC) - EPOCH
    ) // SECOND - offset
    return since_1970(Fraction(seconds * 10**9 + int((found[7] or "0").ljust(9, "0")[:9])), 9)


@batches
def test_rfc_3339_is_read_whole_or_refused(plants, draw):
    def text():
        year, month, day, hour, minute, second = digits(draw, 4, 2, 2, 2, 2, 2)
        month = month if draw.random() < 0.1 else f"{draw.randint(1, 12):02}"
        hour = hour if draw.random() < 0.1 else f"{draw.randint(0, 23):02}"
        day, second = draw.choice([day, "29", "30", "31"]), draw.choice([second, second, "59", "60"])
        fraction = draw.choice(
            ["", "", "." + "".join(draw.choices("0123456789", k=draw.randint(1, 14))), ".", ",5"]
        )
        offset = draw.choice(
            ["Z", "Z", "z", "+01:00", "-11:30", "+23:59", "-00:00", "+0100", "", "+24:00", "Z "]
        )
        whole = f"{year}-{month}-{day}{draw.choice('TTTt ')}{hour}:{minute}:{second}{fraction}{offset}"
        if draw.random() < 0.1:
            at = draw.randint(0, len(whole))
            whole = (
                whole[:at]
                + draw.choice(["0", "-", "x", " ", "\u0661", ""])
                + whole[at + draw.randint(0, 1) :]
            )
        return whole

    texts = [text() for _ in range(SIZE)]
    made = plants["rfc"].run([{"t": one} for one in texts])
    for one, found in zip(texts, made, strict=True):
        assert (found if isinstance(found, str) else found["at"]) == rfc_instant(one), one


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    starts = {None: "", "06:00": ', day_starts: "06:00"', "22:30": ', day_starts: "22:30"'}
    return {
        (name, start): Plant(
            tmp_path_factory.mktemp("day"), f"date: {{date: {{path: t, zone: {name}{more}}}}}"
        )
        for name in ("Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata")
        for start, more in starts.items()
    }


@batches
def test_the_day_of_the_plant_is_that_of_its_clock(days, draw):
    for (name, start), plant in days.items():
        hour, minute = map(int, (start or "00:00").split(":"))
        instants, wanted = [], []
        while len(instants) < SIZE // len(days):
            local = local_time(draw, name).replace(tzinfo=ZONE[name])
            instant = local.astimezone(UTC)
            shown = instant.astimezone(ZONE[name])
            # Where the clock is set back near the start of a day, the day does not go back; others test that.
            around = [
                (instant + dt.timedelta(hours=hours)).astimezone(ZONE[name]).utcoffset() for hours in (-4, 0)
            ]
            if start and len(set(around)) > 1:
                continue
            instants.append(instant)
            wanted.append(
                (shown.replace(tzinfo=None) - dt.timedelta(hours=hour, minutes=minute)).date().isoformat()
            )
        made = plant.run([{"t": instant.isoformat()} for instant in instants])
        for instant, found, right in zip(instants, made, wanted, strict=True):
            assert found == {"date": right}, (name, start, instant)
