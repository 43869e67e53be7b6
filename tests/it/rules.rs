//! Broken rule files and what is said of each: the text that a service engineer reads.

use std::sync::Arc;

use forewarn::domain::{Breaker, Guards, Span};
use forewarn::model::{self, CodeTables};
use forewarn::rules;
use forewarn::source::Diagnostics;

const MODELS: [(&str, &str); 2] = [
    (
        "models/ice-g1.toml",
        r#"[model]
id = "ice-g1"
topics = ["ice/+/t"]
device_id = "topic[1]"
decoder = { format = "json" }
report_every = "10s"
[signal]
coolant_temp = { path = "ct", unit = "degC" }
ambient_temp = { path = "at", unit = "degC" }
engine_rpm = { path = "rpm", unit = "rpm" }
oil_pressure = { path = "op", unit = "bar" }
ignition = { path = "ign", type = "bool" }
charging = { path = "chg", type = "enum", values = ["no", "ac", "dc"] }
vin = { path = "vin", type = "text" }
cell_v = { path = "cells", unit = "V", each = "cell" }
cell_t = { path = "temps", unit = "degC", each = "probe" }
dtc = { path = "dtc", type = "codes" }
odometer = { path = "odo", unit = "km", kind = "counter" }
[params]
coolant_max = "108[degC]"
"#,
    ),
    (
        "models/hvac-rtu.toml",
        r#"[model]
id = "hvac-rtu"
topics = ["hvac/+/t"]
device_id = "topic[1]"
decoder = { format = "json" }
report_every = "60s"
[signal]
compressor_on = { path = "c", type = "bool" }
ambient_temp = { path = "at", unit = "degF" }
"#,
    ),
];

/// All that is said of rule file `text`.
fn findings(text: &str) -> String {
    load(text).0
}

fn load(text: &str) -> (String, rules::Program) {
    let mut diags = Diagnostics::default();
    let files: Vec<_> = MODELS.iter().map(|(path, text)| diags.add_file(*path, *text)).collect();
    let codes = diags.add_file("codes/obd2.csv", "code,class,severity,text\nP0301,misfire,,\nP0524,oil,,\n");
    let models = model::load(&mut diags, &files).with_codes(CodeTables::load(&mut diags, &[codes]));
    let models = Arc::new(models);
    assert!(diags.list().is_empty(), "{}", diags.render(false));
    let file = diags.add_file("rules/x.toml", text);
    let program = rules::load(&mut diags, &[file], models);
    (diags.render(false), program)
}

/// A rule for `ice-g1` whose `when` is `when`.
fn when(when: &str) -> String {
    format!("[[rule]]\nid = \"r\"\nmodels = [\"ice-g1\"]\nseverity = \"major\"\nwhen = \"{when}\"\n")
}

fn with(body: &str) -> String {
    format!("{}{body}", when("ignition"))
}

fn check(name: &str, text: &str) {
    let shown = findings(text);
    assert!(shown.contains("error["), "{name} is not broken:\n{text}\n{shown}");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("golden/rules");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(text);
    settings.bind(|| insta::assert_snapshot!(name, shown));
}

#[test]
fn conditions() {
    for (name, text) in [
        ("unit_mismatch", "coolant_temp > 6[bar] && engine_rpm > 0[rpm]"),
        ("bare_number", "coolant_temp > 110"),
        ("unit_without_brackets", "coolant_temp > 110 degC"),
        ("at_least", "engine_rpm => 100[rpm]"),
        ("at_most", "engine_rpm =< 100[rpm]"),
        ("for_so_long", "ignition for 10m"),
        ("unknown_signal", "coolant_tmep > 110[degC]"),
        ("unknown_unit", "coolant_temp > 110[degc]"),
        ("unknown_param", "coolant_temp > param.coolant_mx"),
        ("param_without_prefix", "coolant_temp > coolant_max"),
        ("unknown_field", "coolant_temp > parm.coolant_max"),
        ("unknown_function", "averag(coolant_temp, 10m) > 90[degC]"),
        ("argument_count", "rate(coolant_temp) > 1[K/min]"),
        ("not_a_condition", "coolant_temp"),
        ("and_of_numbers", "coolant_temp && ignition"),
        ("not_of_a_number", "!engine_rpm"),
        ("add_temperatures", "coolant_temp + ambient_temp > 100[degC]"),
        ("difference_against_temperature", "coolant_temp - ambient_temp > 30[degC]"),
        ("temperature_times_two", "coolant_temp * 2 > 200[degC]"),
        ("temperature_from_kelvin", "5[K] - coolant_temp < 0[K]"),
        ("sum_of_temperatures", "sum(coolant_temp, 10m) > 100[degC]"),
        ("enum_value", "charging == 'acc'"),
        ("enum_order", "charging > 'no'"),
        ("enum_with_number", "charging == 1"),
        ("text_with_number", "vin == 5"),
        ("window_not_a_duration", "avg(coolant_temp, 10) > 90[degC]"),
        ("window_changes", "avg(coolant_temp, age(ignition)) > 90[degC]"),
        ("window_zero", "avg(coolant_temp, 0s) > 90[degC]"),
        ("limit_of_another_kind", "time_to(coolant_temp, 5[bar], 1h) < 10m"),
        ("age_of_an_expression", "age(coolant_temp - 5[K]) > 10m"),
        ("silence_in_a_window", "rises(silent(5m), 1h) > 3"),
        ("component_signal", "cell_v < 2.8[V]"),
        ("components_of_two_kinds", "max(cell_v * 10[K/V] - (cell_t - 0[degC])) > 5[K]"),
        ("fold_of_one_value", "mean(oil_pressure) > 2[bar]"),
        ("extreme_of_one_value", "max(oil_pressure) > 2[bar]"),
        ("count_of_numbers", "count(cell_v) > 2"),
        ("codes_as_a_value", "dtc == 'P0301'"),
        ("codes_of_a_number", "active(coolant_temp)"),
        ("codes_unknown_table", "active(dtc, codes.obd3.class == 'oil')"),
        ("codes_unknown_column", "active(dtc, codes.obd2.clas == 'oil')"),
        ("codes_unknown_class", "appeared(dtc, codes.obd2.class in ['misfire', 'oill'])"),
        ("codes_no_choice", "cleared(dtc, ignition)"),
        ("code_table_alone", "codes.obd2.class == 'oil'"),
        ("choice_of_two_kinds", "(ignition ? 5[bar] : 5[V]) > 3[bar]"),
        ("default_of_another_kind", "(oil_pressure ?? 5[K]) > 3[bar]"),
        ("empty_list", "charging in []"),
        ("list_of_another_kind", "oil_pressure in [1[bar], 2[V]]"),
        ("single_equals", "charging = 'no'"),
        ("single_ampersand", "ignition & ignition"),
        ("word_and", "ignition and ignition"),
        ("chained_comparison", "80[degC] < coolant_temp < 100[degC]"),
        ("not_closed", "(ignition && engine_rpm > 0[rpm]"),
        ("nothing_after_operator", "ignition &&"),
        ("text_not_closed", "charging == 'no"),
        ("bad_duration", "held(ignition) > 10x"),
        ("unit_on_a_signal", "coolant_temp[degC] > 5[degC]"),
        ("two_mistakes", "coolant_tmp > 5[degC] && oil_presure < 2[bar]"),
    ] {
        check(name, &when(text));
    }
}

#[test]
fn files() {
    let level = "[[rule]]\nid = \"r\"\nmodels = [\"ice-g1\"]\n";
    for (name, text) in [
        ("toml_syntax", "[[rule]]\nid = \nmodels = [\"ice-g1\"\n".to_owned()),
        ("unknown_key", with("hodl = \"5m\"\n")),
        ("unknown_component", with("each = \"cel\"\n")),
        (
            "bad_breaker",
            with("[rule.limits]\nfleet_breaker = { max = 0, per = \"0s\", by = \"device.firmware\", of = 1 }\n"),
        ),
        ("breaker_without_limits", with("[rule.limits]\nfleet_breaker = { by = \"id\" }\n")),
        ("bad_parent", with("[rule.gate]\nparent = \"gateway\"\n")),
        ("missing_id_and_models", "[[rule]]\nwhen = \"ignition\"\nseverity = \"minor\"\n".to_owned()),
        ("bad_id", when("ignition").replace("\"r\"", "\"coolant overheat\"")),
        ("same_id_twice", format!("{}{}", when("ignition"), when("!ignition"))),
        ("no_such_model", when("ignition").replace("ice-g1", "ice-g2")),
        ("no_such_models", when("ignition").replace("ice-g1", "truck-*")),
        ("no_severity", with("").replace("severity = \"major\"\n", "")),
        ("bad_severity", with("").replace("\"major\"", "\"majr\"")),
        ("bad_mode", with("mode = \"on\"\n")),
        ("bad_hold", with("hold = \"soon\"\n")),
        ("negative_hold", with("hold = \"-5m\"\n")),
        ("hold_is_a_number", with("hold = 30\n")),
        ("hold_in_words", with("hold = \"5 minutes\"\n")),
        ("model_for_models", with("").replace("models", "model")),
        (
            "conditions_beside_levels",
            with("clear = \"!ignition\"\n[[rule.level]]\nname = \"minor\"\nwhen = \"ignition\"\n")
                .replace("severity = \"major\"\n", ""),
        ),
        ("bad_lead", with("lead = \"2h..10m\"\n")),
        ("bad_confidence", with("confidence = 1.5\n")),
        ("bad_gap", with("[rule.data]\nmax_gap = \"three\"\n")),
        ("bad_policies", with("[rule.data]\non_gap = \"stop\"\non_backfill = \"recrod\"\n")),
        ("where_reads_signals", with("where = \"ignition && device.region == 'EU'\"\n")),
        ("let_order", with("[rule.let]\na = \"b > 5[bar]\"\nb = \"oil_pressure\"\n")),
        ("let_hides_signal", with("[rule.let]\nignition = \"true\"\n")),
        ("let_name", with("[rule.let]\n\"my let\" = \"true\"\n")),
        ("let_broken_once", with("clear = \"hot\"\n[rule.let]\nhot = \"coolant_temp > 5[bar]\"\n")),
        ("title_not_closed", with("[rule.case]\ntitle = \"hot: {coolant_temp\"\n")),
        ("title_unknown_name", with("[rule.case]\ntitle = \"hot: {coolant}\"\n")),
        ("title_syntax", with("[rule.case]\ntitle = \"hot: {coolant_temp +}\"\n")),
        (
            "when_and_levels",
            format!("{level}when = \"ignition\"\n[[rule.level]]\nname = \"minor\"\nwhen = \"ignition\"\n"),
        ),
        ("level_without_severity", format!("{level}[[rule.level]]\nname = \"due\"\nwhen = \"ignition\"\n")),
        ("level_without_when", format!("{level}[[rule.level]]\nname = \"minor\"\n")),
        ("two_levels_of_one_name", format!("{level}{0}{0}", "[[rule.level]]\nname = \"minor\"\nwhen = \"ignition\"\n")),
        ("short_hold_warning", with("hold = \"5s\"\nconfrim = 2\n")),
        (
            "one_of_two_models",
            when("ambient_temp > 100[degF] && compresor_on").replace("[\"ice-g1\"]", "[\"ice-g1\", \"hvac-*\"]"),
        ),
    ] {
        check(name, &text);
    }
}

#[test]
fn guards_are_read_for_the_desk() {
    let breaker = "[rule.limits]\nfleet_breaker = { max = 50, per = \"5m\", by = \"site\" }\n";
    let (said, program) = load(&with(&format!("{breaker}[rule.gate]\nparent = \"device.gateway\"\n")));
    assert_eq!(said, "");
    let breaker = Breaker { max: 50, per: Span::from_mins(5), by: Some("site".into()) };
    assert_eq!(program.rules()[0].guards, Guards { breaker: Some(breaker), parent: Some("gateway".into()) });
    let (said, program) = load(&with("[rule.limits]\nfleet_breaker = { max = 500, per = \"1h\" }\n"));
    assert_eq!(said, "");
    assert_eq!(program.rules()[0].guards.breaker.as_ref().map(|b| (b.max, b.by.clone())), Some((500, None)));
}

/// Event signals, counters, clocks and patterns, which a condition can ask wrongly.
#[test]
fn questions_that_have_no_answer() {
    for (name, text) in [
        ("since_of_a_number", "since(coolant_temp) > 1h"),
        ("since_of_a_param", "since(param.coolant_max) > 1h"),
        ("duty_of_an_event", "duty(changed(ignition), 1h) > 0.5"),
        ("increase_of_no_counter", "increase(engine_rpm, 24h) > 5[rpm]"),
        ("total_since_no_marker", "total_since(odometer, 5) > 5[km]"),
        ("no_such_zone", "hour('Europe/Berln') > 6"),
        ("zone_not_a_text", "hour(7) > 6"),
        ("pattern_not_closed", "vin matches 'WVW(.*'"),
        ("pattern_of_a_number", "coolant_temp matches '9.*'"),
    ] {
        check(name, &when(text));
    }
}

#[test]
fn steps() {
    let rule = |body: &str| format!("[[rule]]\nid = \"r\"\nmodels = [\"ice-g1\"]\nseverity = \"major\"\n{body}");
    let first = "[[rule.step]]\nname = \"a\"\nwhen = \"ignition\"\n";
    let second = "[[rule.step]]\nname = \"b\"\nwhen = \"!ignition\"\nwithin = \"5m\"\n";
    let how = "[rule.sequence]\nclear = \"true\"\n";
    for (name, text) in [
        ("steps_missing", with(how)),
        ("steps_and_when", rule(&format!("when = \"ignition\"\n{first}{second}{how}"))),
        ("steps_only_one", rule(&format!("{first}{how}"))),
        ("steps_without_within", rule(&format!("{first}{0}{how}", second.replace("within = \"5m\"\n", "")))),
        ("steps_of_one_name", rule(&format!("{first}{0}{how}", second.replace("\"b\"", "\"a\"")))),
        ("steps_first_within", rule(&format!("{first}within = \"5m\"\nunless = \"ignition\"\n{second}{how}"))),
        ("steps_without_clear", rule(&format!("{first}{second}"))),
        ("steps_overlap", rule(&format!("{first}{second}{how}overlap = 20\n"))),
        ("steps_policies", rule(&format!("{first}{second}{how}start = \"risin\"\ntimeout_event = \"onyl\"\n"))),
    ] {
        check(name, &text);
    }
}

#[test]
fn samples_and_limits() {
    let sample = |body: &str| with(&format!("[rule.sample.idle]\nfrom = \"oil_pressure\"\n{body}"));
    for (name, text) in [
        ("sample_without_keep", sample("")),
        ("sample_keep", sample("keep = \"mni per 1d\"\n")),
        ("sample_keep_without_period", sample("keep = \"min\"\n")),
        (
            "sample_of_a_sample",
            sample("keep = \"min per 1h\"\n[rule.sample.day]\nfrom = \"idle\"\nkeep = \"max per 1d\"\n"),
        ),
        ("active_words", with("[rule.active]\ndays = \"mon-fry\"\nhours = \"6-22\"\ntz = \"Europe/Berln\"\n")),
        ("gate_words", with("[rule.gate]\ningest_healthy = 5\nexpected_off = \"coolant_temp\"\nexpect = \"x\"\n")),
        ("flap_words", with("[rule.limits]\nflap = { max = 50, per = \"0s\", then = \"mute\" }\n")),
        ("flap_missing", with("[rule.limits]\ncooldown = \"soon\"\nflap = { then = \"latch\" }\n")),
    ] {
        check(name, &text);
    }
}

/// What is said of conditions that load and cannot do what was meant: the codes in front, the text behind `:`.
#[test]
fn conditions_that_cannot_be_meant() {
    let level = |when: &str, clear: &str| {
        let clear = if clear.is_empty() { String::new() } else { format!("clear = \"{clear}\"\n") };
        format!("[[rule]]\nid = \"r\"\nmodels = [\"ice-g1\"]\nseverity = \"major\"\nwhen = \"{when}\"\n{clear}")
    };
    for (when, clear, said) in [
        // R210: both at once.
        ("coolant_temp > 100[degC]", "coolant_temp < 105[degC]", "R210 (coolant_temp in 100..105 degC)"),
        ("coolant_temp > param.coolant_max", "coolant_temp < param.coolant_max - 8[K]", ""),
        ("coolant_temp > param.coolant_max", "coolant_temp < param.coolant_max + 8[K]", "R210 in 108..116 degC"),
        ("coolant_temp >= 100[degC]", "coolant_temp <= 100[degC]", "R210 (coolant_temp 100 degC)"),
        ("coolant_temp > 100[degC]", "coolant_temp <= 212[degF]", ""),
        ("100[degC] < coolant_temp", "-coolant_temp / 1 > 0", "error"),
        ("charging == 'ac'", "charging != 'dc'", "R210 (charging 'ac')"),
        ("charging == 'ac'", "charging in ['no', 'dc']", ""),
        ("ignition", "!ignition", ""),
        ("ignition && oil_pressure < 1[bar]", "oil_pressure < 2[bar]", "R210 (oil_pressure below 1 bar)"),
        (
            "oil_pressure < 1[bar] && engine_rpm > 500[rpm]",
            "oil_pressure > 2[bar] || engine_rpm < 600[rpm]",
            "R210 (engine_rpm in 500..600 rpm)",
        ),
        ("avg(oil_pressure, 10m) < 1[bar]", "avg(oil_pressure, 10m) < 2[bar]", "R210"),
        ("avg(oil_pressure, 10m) < 1[bar]", "avg(oil_pressure, 20m) < 2[bar]", ""),
        // A clear about something else says nothing about the two together.
        ("coolant_temp > 100[degC]", "!ignition", ""),
        ("ignition", "true", ""),
        // R211..R213: no way.
        ("oil_pressure > 2[bar] && oil_pressure < 1[bar]", "", "R211"),
        ("charging == 'ac' && charging == 'dc'", "", "R211"),
        ("ignition && !ignition", "", "R211"),
        ("held(ignition) < 0s", "", "R211"),
        ("oil_pressure > 2[bar] || oil_pressure < 3[bar]", "", "R212"),
        ("ignition || !ignition", "", "R212"),
        ("oil_pressure > 2[bar] || oil_pressure <= 2[bar] || ignition", "", "R212"),
        ("oil_pressure > 2[bar]", "r2(oil_pressure, 1h) > 1.5", "R213"),
        ("oil_pressure != 2[bar]", "", ""),
        ("(ignition ? 1 : 2) > 0", "", ""),
    ] {
        let shown = findings(&level(when, clear));
        let all = said.split(' ').next().is_some_and(|code| shown.contains(code));
        let text = said.split_once(' ').is_none_or(|(_, text)| shown.contains(text));
        let quiet = !said.is_empty() || shown.is_empty();
        assert!(all && text && quiet, "{when} / {clear}: expected '{said}', found:\n{shown}");
    }
}

#[test]
fn baselines() {
    let usual = "of = \"oil_pressure\"\ntau = \"14d\"\nmin = \"3d\"\n";
    let rule = |when: &str, body: &str| format!("{}[rule.baseline.usual]\n{body}", self::when(when));
    let off = "z(oil_pressure, usual) > 4";
    for (name, text) in [
        ("baseline_unknown", rule("z(oil_pressure, usal) > 4", usual)),
        ("baseline_not_a_name", rule("z(oil_pressure, 5) > 4", usual)),
        ("baseline_of_another_kind", rule("z(engine_rpm, usual) > 4", usual)),
        ("baseline_z_with_unit", rule("z(oil_pressure, usual) > 4[bar]", usual)),
        ("baseline_tau", rule(off, &usual.replace("14d", "two weeks"))),
        ("baseline_without_times", rule(off, "of = \"oil_pressure\"\n")),
        ("baseline_min_over_learn", rule(off, "of = \"oil_pressure\"\nlearn = \"3d\"\nmin = \"4d\"\n")),
        ("baseline_from_and_tau", rule(off, &format!("{usual}from = \"fleet\"\n"))),
        ("baseline_fleet_missing", rule(off, &format!("{usual}prior = \"fleet\"\n"))),
        ("baseline_several", rule(off, &usual.replace("\"oil_pressure\"", "[\"oil_pressure\", \"engine_rpm\"]"))),
        (
            "baseline_too_many",
            rule(off, &usual.replace("\"oil_pressure\"", &format!("[{}]", "\"engine_rpm\", ".repeat(13)))),
        ),
        ("baseline_t2_of_one", rule("t2(usual) > 20", usual)),
        ("baseline_by_text", rule(off, &format!("{usual}by = [\"vin\"]\n"))),
        ("baseline_by_another_unit", rule(off, &format!("{usual}by = [\"engine_rpm/5[bar]\"]\n"))),
        ("baseline_of_itself", rule(off, &usual.replace("\"oil_pressure\"", "\"z(oil_pressure, usual)\""))),
        ("baseline_bins", rule(off, &format!("{usual}bins = 100\n"))),
        ("cusum_with_unit", rule("cusum(oil_pressure, 0.5[bar], 8, usual)", usual)),
        ("evt_of_half", self::when("oil_pressure > evt(oil_pressure, 0.5)")),
        ("quantile_in_percent", self::when("oil_pressure > quantile(oil_pressure, 95, 1h)")),
        ("sqrt_of_a_pressure", self::when("sqrt(oil_pressure) > 3")),
    ] {
        check(name, &text);
    }
}
