"""Opens the mails in calendar/ with other people's libraries, and holds what they read against what was meant.

    python3 -m venv v && v/bin/pip install icalendar==7.3.0 vobject==0.9.9
    FOREWARN_ORACLES=1 cargo test --features failpoints --test it calendar     # writes the mails anew
    v/bin/python tests/oracles/open_calendar.py

The mails are those of two appointments: booked, moved and cancelled, as the customer gets them; asked for, moved and taken
back, as a workshop that is asked by mail gets them. tests/it/channels/calendar.rs shows that the program still sends exactly these.
"""

import datetime
import email
import email.policy
import pathlib

import icalendar
import vobject

HERE = pathlib.Path(__file__).parent / "calendar"
PLACE = "Straße des 17. Juni 135; Hof 2, Tor \\ B, 1030 Wien, gegenüber dem Bahnhof, 2. Einfahrt"
MEANT = {  # method, sequence, status, partstat, rsvp, alarms
    "request": ("REQUEST", 0, "CONFIRMED", "ACCEPTED", "FALSE", 1),
    "update": ("REQUEST", 1, "CONFIRMED", "ACCEPTED", "FALSE", 1),
    "cancel": ("CANCEL", 2, "CANCELLED", "ACCEPTED", "FALSE", 0),
    "workshop-request": ("REQUEST", 0, "CONFIRMED", "NEEDS-ACTION", "TRUE", 0),
    "workshop-update": ("REQUEST", 1, "CONFIRMED", "ACCEPTED", "FALSE", 0),
    "workshop-cancel": ("CANCEL", 2, "CANCELLED", "NEEDS-ACTION", "TRUE", 0),
}


def open_with_icalendar(text):
    calendar = icalendar.Calendar.from_ical(text)
    assert not calendar.errors, calendar.errors
    (event,) = calendar.walk("VEVENT")
    assert not event.errors, event.errors
    attendee = event["ATTENDEE"]
    alarms = event.walk("VALARM")
    for alarm in alarms:
        assert alarm["TRIGGER"].dt == datetime.timedelta(hours=-24), alarm
    return {
        "method": str(calendar["METHOD"]), "uid": str(event["UID"]), "sequence": int(event["SEQUENCE"]),
        "start": event.decoded("DTSTART"), "end": event.decoded("DTEND"), "status": str(event["STATUS"]),
        "summary": str(event["SUMMARY"]), "place": str(event["LOCATION"]), "attendee": str(attendee),
        "partstat": attendee.params["PARTSTAT"], "rsvp": attendee.params["RSVP"],
        "organizer": str(event["ORGANIZER"]), "alarms": len(alarms),
    }


def open_with_vobject(text):
    calendar = vobject.readOne(text)
    event = calendar.vevent
    attendee = event.attendee
    return {
        "method": calendar.method.value, "uid": event.uid.value, "sequence": int(event.sequence.value),
        "start": event.dtstart.value, "end": event.dtend.value, "status": event.status.value,
        "summary": event.summary.value, "place": event.location.value, "attendee": attendee.value,
        "partstat": attendee.partstat_param, "rsvp": attendee.rsvp_param,
        "organizer": event.organizer.value, "alarms": len(getattr(event, "valarm_list", [])),
    }


def main():
    uids = {}
    for name, (method, sequence, status, partstat, rsvp, alarms) in MEANT.items():
        mail = email.message_from_bytes((HERE / f"{name}.eml").read_bytes(), policy=email.policy.default)
        assert not mail.defects, mail.defects
        parts = [p for p in mail.walk() if p.get_content_type() in ("text/calendar", "application/ics")]
        assert [p.get_content_type() for p in parts] == ["text/calendar", "application/ics"], parts
        assert parts[0]["Content-Type"].params["method"] == method
        assert parts[0]["Content-Type"].params["charset"] == "utf-8"
        text = parts[0].get_content()
        attached = parts[1].get_content()
        attached = attached.decode() if isinstance(attached, bytes) else attached
        assert text.splitlines() == attached.splitlines(), name
        read = [open_with_icalendar(text), open_with_vobject(text)]
        assert read[0] == read[1], (name, read)
        event = read[0]
        assert (event["method"], event["sequence"], event["status"]) == (method, sequence, status), (name, event)
        assert (event["partstat"], event["rsvp"], event["alarms"]) == (partstat, rsvp, alarms), (name, event)
        assert event["place"].endswith(PLACE), event
        assert event["start"].tzinfo is not None and event["end"] - event["start"] == datetime.timedelta(hours=1), event
        assert event["attendee"] == f"mailto:{mail['To'].addresses[0].addr_spec}", (name, event)
        uids.setdefault(name.startswith("workshop"), set()).add(event["uid"])
        print(name, event["method"], event["sequence"], event["start"].isoformat(), event["summary"])
    assert all(len(same) == 1 for same in uids.values()), uids


main()
