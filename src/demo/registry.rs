//! A made-up registry: cars, their owners and drivers, how to reach them, what they agreed to.
//!
//! `config/registry` is what this gives for 60 cars (a test says so); the demo uses it for larger fleets. All people
//! are invented, and nobody can be reached by mistake: German numbers are of the range that the regulator keeps for
//! films (030 23125-xxx), American ones of 202 555-01xx, mailboxes are in example.com.

use std::fmt::Write;

use super::fleet::car_id;

/// Two air handlers, looked after by the owner of the first car and by the one of the second; and two lifts of one
/// building, behind one gateway, with somebody at the door and a rescue service.
const UNITS: &str = "hvac-0001,hvac,hvac,,,,,,,c-0001,,c-0001,,,,Europe/Berlin\n\
                     hvac-0002,hvac,hvac,,,,,,,c-0002,,c-0002,,,,America/New_York\n\
                     lift-0001,lift,elevator,,,,,,,c-0003,,c-0003,c-0003,c-0004,gw-0001,Europe/Berlin\n\
                     lift-0002,lift,elevator,,,,,,,c-0003,,c-0003,c-0003,c-0004,gw-0001,Europe/Berlin\n";

/// The cars of the shipped registry.
pub const SHIPPED: usize = 60;

/// File names of the registry with their texts, for `cars` cars.
#[must_use]
pub fn files(cars: usize) -> [(&'static str, String); 4] {
    let mut devices = "id,model,kind,plate,vin,make,colour,year,propulsion,owner,driver,facility_manager,\
                       building_security,rescue_service,gateway,tz\n"
        .to_owned();
    let mut customers = "id,name,locale,tz\n".to_owned();
    let mut endpoints = "id,customer,kind,address,opted_out\n".to_owned();
    let mut consents = "customer,purpose,channel,source,given_at,withdrawn_at\n".to_owned();
    let mut write = |n: usize| -> std::fmt::Result {
        let car = Car(n);
        let (id, owner, driver) = (car_id(n), customer_id(n), customer_id(car.driver(cars)));
        let (plate, vin, make, colour, tz) = (car.plate(), car.vin(), car.make(), car.colour(), car.tz());
        let (year, propulsion) = (2018 + n * 5 % 8, ["petrol", "diesel", "bev", "hybrid"][n % 4]);
        writeln!(devices, "{id},car,car,{plate},{vin},{make},{colour},{year},{propulsion},{owner},{driver},,,,,{tz}")?;
        writeln!(customers, "{owner},{},{},{tz}", car.name(), car.locale())?;
        // A few have one way to be reached only, and one asked not to be called.
        if n % 17 != 11 {
            writeln!(endpoints, "{owner}-p,{owner},phone,{},{}", car.phone(), n == 44)?;
        }
        if n % 19 != 13 {
            writeln!(endpoints, "{owner}-m,{owner},email,{},false", car.mail())?;
        }
        // A quarter has the app.
        if n % 4 == 2 {
            writeln!(endpoints, "{owner}-a,{owner},app,{},false", car.app_user())?;
        }
        // Nearly all agreed to be told about their own car; one took it back.
        if n % 10 != 9 {
            let withdrawn = if n == 30 { "2026-02-01T00:00:00Z" } else { "" };
            let source = if n.is_multiple_of(3) { "app" } else { "contract" };
            let given_at = format!("2025-0{}-15T09:00:00Z", 1 + n % 9);
            writeln!(consents, "{owner},service,,{source},{given_at},{withdrawn}")?;
            writeln!(consents, "{owner},predictive_maintenance,,{source},{given_at},{withdrawn}")?;
            // Half of them may also be asked how it was.
            if matches!(n % 4, 1 | 2) {
                writeln!(consents, "{owner},info,,{source},{given_at},{withdrawn}")?;
            }
        }
        Ok(())
    };
    for n in 0..cars {
        write(n).expect("writing to a String cannot fail");
    }
    devices.push_str(UNITS);
    [("devices.csv", devices), ("customers.csv", customers), ("endpoints.csv", endpoints), ("consents.csv", consents)]
}

/// The phone number of the driver of car `n` in a fleet of `cars`: by it the demo knows whose phone rings.
#[must_use]
pub fn driver_phone(n: usize, cars: usize) -> String {
    Car(Car(n).driver(cars)).phone()
}

/// What the back end of the app calls the driver of car `n` in a fleet of `cars`.
#[must_use]
pub fn driver_app(n: usize, cars: usize) -> String {
    Car(Car(n).driver(cars)).app_user()
}

/// Which cars break down in a fleet of `cars`: brakes, battery. The driver of the first has a phone; the owner of the
/// second has a mailbox and agreed to be told.
///
/// # Panics
/// With fewer than two cars.
#[must_use]
pub fn chosen(cars: usize) -> (usize, usize) {
    assert!(cars >= 2, "one car for each breakdown");
    let battery = (1..cars.min(23)).rev().find(|n| n % 10 != 9 && n % 19 != 13).unwrap_or(1);
    (6.min(battery - 1), battery)
}

/// The plate of car `n`.
#[must_use]
pub fn plate(n: usize) -> String {
    Car(n).plate()
}

/// The mailbox of the owner of car `n`.
#[must_use]
pub fn owner_mail(n: usize) -> String {
    Car(n).mail()
}

fn customer_id(n: usize) -> String {
    format!("c-{:04}", n + 1)
}

/// Car number `n` and its owner. Two of three are German.
struct Car(usize);

impl Car {
    fn german(&self) -> bool {
        self.0 % 3 != 1
    }

    /// Every seventh car is driven by somebody else than its owner.
    fn driver(&self, cars: usize) -> usize {
        let other = self.0 + 3;
        if self.0 % 7 == 4 && other < cars { other } else { self.0 }
    }

    fn name(&self) -> String {
        let (first, last): (&[&str], &[&str]) =
            if self.german() { (&GERMAN_FIRST, &GERMAN_LAST) } else { (&ENGLISH_FIRST, &ENGLISH_LAST) };
        format!("{} {}", first[self.0 % first.len()], last[self.0 / 2 % last.len()])
    }

    fn locale(&self) -> &'static str {
        if self.german() { "de-DE" } else { "en-US" }
    }

    fn tz(&self) -> &'static str {
        if self.german() { "Europe/Berlin" } else { "America/New_York" }
    }

    fn phone(&self) -> String {
        if self.german() { format!("+493023125{:03}", self.0 % 900) } else { format!("+120255501{:02}", self.0 % 100) }
    }

    fn app_user(&self) -> String {
        format!("u-{:04}", self.0 + 1)
    }

    fn mail(&self) -> String {
        let name = self.name().to_lowercase().replace(' ', ".");
        let ascii = [('ä', "ae"), ('ö', "oe"), ('ü', "ue"), ('ß', "ss"), ('ı', "i"), ('ş', "s")]
            .into_iter()
            .fold(name, |name, (from, to)| name.replace(from, to));
        format!("{ascii}.{}@example.com", self.0 + 1)
    }

    fn plate(&self) -> String {
        if self.german() {
            format!("{}-FW {}", ["M", "B", "HH", "K", "F", "L"][self.0 % 6], 1000 + self.0)
        } else {
            format!("FWN-{:04}", self.0)
        }
    }

    /// Seventeen characters, of a maker that does not exist.
    fn vin(&self) -> String {
        format!("ZZZFW{:02}A{:09}", self.0 % 100, 100_000 + self.0 * 37)
    }

    fn make(&self) -> &'static str {
        ["Nordwind", "Kestrel", "Aurora", "Halden", "Tamarin"][self.0 % 5]
    }

    fn colour(&self) -> &'static str {
        ["blue", "white", "silver", "red", "black", "green", "grey"][self.0 % 7]
    }
}

const GERMAN_FIRST: [&str; 14] = [
    "Jana", "Jürgen", "Sabine", "Mehmet", "Anke", "Bodo", "Käthe", "Elif", "Ralf", "Heike", "Sören", "Nele", "Ayşe",
    "Uwe",
];
const GERMAN_LAST: [&str; 11] =
    ["Brandt", "Köhler", "Yılmaz", "Vogt", "Weiß", "Lorenz", "Hartung", "Seidel", "Öztürk", "Kramer", "Thiele"];
const ENGLISH_FIRST: [&str; 9] = ["Grace", "Owen", "Maya", "Dale", "Ruth", "Hank", "Ivy", "Cora", "Miles"];
const ENGLISH_LAST: [&str; 8] = ["Walker", "Bennett", "Ortiz", "Hayes", "Quinn", "Foster", "Reyes", "Abbott"];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// `FOREWARN_WRITE_REGISTRY=1 cargo test` writes the files anew after a change above.
    #[test]
    fn the_shipped_registry_is_this_one() {
        for (name, text) in files(SHIPPED) {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/registry").join(name);
            if std::env::var_os("FOREWARN_WRITE_REGISTRY").is_some() {
                std::fs::write(&path, &text).unwrap();
            }
            assert!(std::fs::read_to_string(&path).unwrap() == text, "{name} is not what it would be written as");
        }
    }

    #[test]
    fn the_chosen_can_be_reached() {
        for cars in 2..70 {
            let (brakes, battery) = chosen(cars);
            let [_, _, (_, endpoints), (_, consents)] = files(cars);
            assert!(brakes != battery && battery < cars);
            assert!(endpoints.contains(&format!("phone,{},false", driver_phone(brakes, cars))), "{cars}");
            assert!(endpoints.contains(&format!("email,{},false", owner_mail(battery))), "{cars}");
            assert!(consents.contains(&format!("{},service", customer_id(battery))), "{cars}");
        }
        assert_eq!(chosen(50), (6, 22));
    }

    #[test]
    fn nobody_real_can_be_reached() {
        let [(_, devices), (_, customers), (_, endpoints), _] = files(2_000);
        for line in endpoints.lines().skip(1) {
            let address = line.split(',').nth(3).unwrap();
            let fictional = address.starts_with("+493023125") && address.len() == 13
                || address.starts_with("+120255501") && address.len() == 12
                || address.ends_with("@example.com") && address.is_ascii()
                || address.starts_with("u-") && address.len() == 6;
            assert!(fictional, "{line}");
        }
        let plates: BTreeSet<&str> = devices.lines().map(|l| l.split(',').nth(3).unwrap()).collect();
        assert_eq!(plates.len(), 2_002, "every plate once, the heading, and what has none");
        assert_eq!(customers.lines().count(), 2_001);
    }
}
