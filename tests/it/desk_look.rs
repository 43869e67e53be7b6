//! How tests look at the desk of a [`World`]: its cases, what was said in them, and the desk after a restart.

use forewarn::desk::{Act, CaseView, Input, Reply};
use forewarn::domain::CaseId;

use super::desk_world::World;

impl World {
    /// All cases, closed ones too, newest first.
    pub(crate) fn cases(&self) -> Vec<CaseView> {
        self.desk.list(true, 10_000).iter().map(|c| self.desk.show(&c.id).unwrap()).collect()
    }

    /// The newest case of a device.
    pub(crate) fn case_of(&self, device: &str) -> CaseView {
        let found = self.desk.list(true, 20_000).into_iter().find(|c| c.device == device);
        self.desk.show(&found.unwrap_or_else(|| panic!("{device} has no case")).id).unwrap()
    }

    /// A desk of what is stored takes the place of this one.
    pub(crate) fn restart(&mut self) {
        let loaded = self.loaded();
        assert!(loaded.same_state(&self.desk), "rows and state tell different stories");
        self.desk = loaded;
        self.tell(Input::Started);
    }

    /// A person does something about a case, or about everything.
    pub(crate) fn act(&mut self, case: Option<CaseId>, act: Act) -> Reply {
        self.tell(Input::Act { case, actor: "kim".into(), act }).unwrap()
    }

    /// Nothing that must always hold is broken.
    pub(crate) fn sound(&self) {
        self.desk.check_invariants().unwrap();
    }
}

/// Whether a line of the timeline has this in it.
pub(crate) fn said(view: &CaseView, text: &str) -> bool {
    view.timeline.iter().any(|line| line.text.contains(text))
}
