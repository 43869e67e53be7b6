use super::{Kind, MAX_DEPTH, parse};

/// The tree with all parentheses written out.
fn show(e: &super::Expr) -> String {
    match &e.kind {
        Kind::Number(n, None) => n.to_string(),
        Kind::Number(n, Some(u)) => format!("{n}[{}]", u.text),
        Kind::Duration(d) => d.to_string(),
        Kind::Text(t) => format!("'{t}'"),
        Kind::Bool(b) => b.to_string(),
        Kind::Name(n) => n.to_string(),
        Kind::Field(a, b) => format!("{}.{}", a.text, b.text),
        Kind::Not(e) => format!("!{}", show(e)),
        Kind::Negate(e) => format!("-{}", show(e)),
        Kind::Binary(o, a, b) => format!("({} {} {})", show(a), o.as_str(), show(b)),
        Kind::Choose(c, a, b) => format!("({} ? {} : {})", show(c), show(a), show(b)),
        Kind::In(a, l) => format!("({} in [{}])", show(a), l.iter().map(show).collect::<Vec<_>>().join(", ")),
        Kind::Range(a, b) => format!("{}..{}", show(a), show(b)),
        Kind::Matches(a, p) => format!("({} matches '{}')", show(a), p.text),
        Kind::List(l) => format!("[{}]", l.iter().map(show).collect::<Vec<_>>().join(", ")),
        Kind::Call(f, l) => format!("{}({})", f.text, l.iter().map(show).collect::<Vec<_>>().join(", ")),
    }
}

#[test]
fn precedence() {
    for (text, tree) in [
        ("a + b * c - d", "((a + (b * c)) - d)"),
        ("a || b && c == d", "(a || (b && (c == d)))"),
        ("soc ?? 50[%] < 20[%]", "((soc ?? 50[%]) < 20[%])"),
        ("!a && -b < -40[degC]", "(!a && (-b < -40[degC]))"),
        ("c ? a : d ? e : f", "(c ? a : (d ? e : f))"),
        ("x in ['no', 'ac'] && y", "((x in ['no', 'ac']) && y)"),
        ("rate(m, 60s) > 3[K/min]", "(rate(m, 1m) > 3[K/min])"),
        ("a - 3 - 2", "((a - 3) - 2)"),
        ("1e3 + 1.5e-2 + 1h30m", "((1000 + 0.015) + 1h30m)"),
        ("param.t_crit < device.x", "(param.t_crit < device.x)"),
        ("x in [1, 5..10, -3[K]..1.5[K]]", "(x in [1, 5..10, -3[K]..1.5[K]])"),
        ("a matches 'P0.*' && b", "((a matches 'P0.*') && b)"),
        ("device.marker.oil - 1", "(device.marker.oil - 1)"),
    ] {
        assert_eq!(show(&parse(text).unwrap()), tree, "{text}");
    }
}

#[test]
fn syntax_errors_point_at_the_mistake() {
    for (text, span, message) in [
        ("a <", 3..3, "a value is expected here, not the end"),
        ("a = b", 2..3, "'=' is not an operator"),
        ("a < b < c", 6..7, "comparisons do not chain"),
        ("a & b", 2..3, "'&' has no meaning here"),
        ("a and b", 2..5, "'and' is not expected here"),
        (
            "10x > a",
            0..3,
            "'10x' is not a duration: write a number and a unit, such as 250ms, 90s, 10m, 2h, 7d or 1h30m",
        ),
        ("(a", 2..2, "')' is expected here, not the end"),
        ("x == 'no", 5..8, "this text has no end"),
        ("60[degC", 2..7, "this unit has no end"),
        ("", 0..0, "a value is expected here, not the end"),
    ] {
        let e = parse(text).unwrap_err();
        assert_eq!((e.span, e.message.as_str()), (span, message), "{text}");
    }
}

#[test]
fn syntax_errors_say_what_was_meant() {
    for (text, hint) in [
        ("held(a) > 10min", "write 10m"),
        ("held(a) > 2hours", "write 2h"),
        ("a > 60degC", "a number with a unit is written 60[degC]"),
        (
            "avg(a, 10 m)",
            "a unit stands in brackets directly after its number: 10[m]; an amount of time is written 10m",
        ),
        ("a > 60 degC", "a unit stands in brackets directly after its number: 60[degC]"),
        ("(a and b)", "'and' is written &&"),
    ] {
        assert_eq!(parse(text).unwrap_err().hint.as_deref(), Some(hint), "{text}");
    }
}

#[test]
fn nesting_is_limited_and_nothing_panics() {
    for deep in ["(", "!", "-", "a ?? ", "f(", "a ? b : "] {
        assert!(parse(&deep.repeat(MAX_DEPTH * 20)).is_err());
    }
    assert!(parse(&"a + ".repeat(MAX_DEPTH * 3)).is_err());
    proptest::proptest!(|(text in "[a-c0-9 .'\\[\\]()!&|<>=?:+*/,-]{0,60}")| { let _ = parse(&text); });
}
