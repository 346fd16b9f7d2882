//! Rows that come, go, are marked and moved among.

use super::*;

fn row(name: &str, host: &str, used: Option<f64>) -> Row {
    let value = |text: &str| Value::new(text, Role::Text);
    let used = used.map_or(value("-"), |used| value(&used.to_string()).number(used));
    Row::new(name, vec![value(name), value(host), used])
}

fn table() -> Table {
    let mut table = Table::default();
    table.set(
        vec![
            row("alice", "h1", Some(10.0)),
            row("bob", "h2", Some(9.0)),
            row("carol", "h1", None),
            row("dave", "h2", Some(70.0)),
        ]
        .into(),
    );
    table
}

fn names(table: &Table) -> String {
    table.visible().map(|(_, row)| &row.id[..1]).collect()
}

#[test]
fn rows_are_filtered_sorted_and_kept_together() {
    let mut table = table();
    assert_eq!(names(&table), "abcd");
    table.sort_by(0);
    assert_eq!((names(&table).as_str(), table.sort().unwrap().down), ("abcd", false));
    table.sort_by(2);
    assert_eq!(names(&table), "dabc", "numbers as numbers, what has none last");
    table.sort_by(2);
    assert_eq!(names(&table), "badc");
    table.group_by(Some(1));
    assert_eq!(names(&table), "acbd");
    table.sort_by(2);
    assert_eq!((names(&table).as_str(), table.sort()), ("acbd", None));
    table.sort_by(2);
    assert_eq!(names(&table), "acdb");
    table.set_filter("H1 C");
    assert_eq!((names(&table).as_str(), table.count()), ("ac", (2, 4)), "alice has a c");
    table.set_filter("nobody");
    assert_eq!((names(&table).as_str(), table.here()), ("", None));
}

#[test]
fn what_one_is_at_stays_whatever_comes_and_goes() {
    let mut table = table();
    table.go(Move::By(2));
    assert_eq!(table.here().unwrap().id, "carol");
    table.set(
        vec![row("aaron", "h1", None), row("carol", "h1", None), row("dave", "h2", None)].into(),
    );
    assert_eq!((table.here().unwrap().id.as_str(), table.place()), ("carol", 1));
    table.set(vec![row("aaron", "h1", None), row("dave", "h2", None)].into());
    assert_eq!(table.here().unwrap().id, "dave", "its place is another's now");
    table.set(Shared::default());
    assert_eq!((table.here(), table.place()), (None, 0));
    table.go(Move::By(5));
    assert_eq!(table.place(), 0);
}

#[test]
fn the_newest_is_followed_until_one_moves_down_from_it() {
    let rows =
        |names: &str| names.chars().map(|c| Arc::new(row(&c.to_string(), "h", None))).collect();
    let mut table = Table::newest_first();
    let come = |table: &mut Table, names| {
        table.set(rows(names));
        format!("{} {}", table.here().map_or("", |row| &row.id), table.is_following())
    };
    assert_eq!(come(&mut table, "cba"), "c true");
    assert_eq!(come(&mut table, "dcba"), "d true");
    table.go(Move::By(1));
    assert_eq!(come(&mut table, "edcba"), "c false", "what one is at stays");
    table.go(Move::By(-9));
    assert_eq!(come(&mut table, "fedcba"), "e false", "so does the first one");
    table.go(Move::First);
    assert_eq!(come(&mut table, "gfedcba"), "g true");
    table.sort_by(0);
    assert_eq!(come(&mut table, "hgfedcba"), "g false", "the first is not the newest");
    table.go(Move::First);
    assert!(!table.is_following());
    table.follow(true);
    assert_eq!((come(&mut table, "ihgfedcba").as_str(), table.sort()), ("i true", None));
    table.follow(false);
    assert_eq!(come(&mut table, "jihgfedcba"), "i false");
    table.follow(true);
    assert_eq!(come(&mut table, ""), " true");
    let mut other = self::table();
    other.follow(true);
    other.go(Move::First);
    assert!(!other.is_following(), "rows come anywhere");
}

#[test]
fn marks_say_what_an_action_is_for() {
    let mut table = table();
    assert_eq!(table.chosen(), ["alice"]);
    table.go(Move::Last);
    table.mark();
    table.go(Move::First);
    assert_eq!(table.chosen(), ["dave"]);
    table.set_filter("h1");
    table.mark_all();
    assert_eq!(table.chosen(), ["alice", "carol", "dave"]);
    table.set(vec![row("carol", "h1", None)].into());
    assert_eq!(table.chosen(), ["carol"], "what is gone is nobody's business");
    assert!(table.unmark() && !table.unmark());
}

#[test]
fn one_sees_what_one_is_at_and_little_moves() {
    let mut table = Table::default();
    table.set((0..100).map(|i| Arc::new(row(&format!("c{i:02}"), "h", None))).collect());
    let mut go = |to, room| {
        table.go(to);
        table.drawn(room);
        table.window(room)
    };
    assert_eq!(go(Move::By(9), 10), 0);
    assert_eq!(go(Move::By(1), 10), 1);
    assert_eq!(go(Move::By(-9), 10), 1);
    assert_eq!(go(Move::By(-1), 10), 0);
    assert_eq!(go(Move::Last, 10), 90);
    assert_eq!(go(Move::To(95), 50), 50);
    assert_eq!(go(Move::First, 0), 0);
}
