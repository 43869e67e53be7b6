//! All models, and which of them a topic name belongs to.

use std::sync::Arc;

use super::limits::is_device_id;
use super::subject::{self, Binding, Subject};
use super::topic::{self, Target, Tree};
use super::{CodeTables, Format, Model, TopicPattern};
use crate::domain::{DeviceId, ModelId};

/// All models that were loaded.
#[derive(Debug, Clone, Default)]
pub struct Models {
    /// In the order of the files; `Binding::model` is an index into this.
    pub list: Vec<Arc<Model>>,
    /// What trouble codes mean.
    pub codes: Arc<CodeTables>,
    topics: Tree,
}

impl Models {
    /// Compiles the topics of `list`. Filters that MQTT does not allow bind nothing.
    #[must_use]
    pub fn new(list: Vec<Arc<Model>>) -> Self {
        let mut topics = Tree::default();
        for (model, m) in list.iter().enumerate() {
            for pattern in patterns(m) {
                if let Ok(levels) = topic::parse(&pattern.filter) {
                    let TopicPattern { device_level, decoder, .. } = *pattern;
                    topics.add(&levels, Target { model, device_level, decoder });
                }
            }
        }
        Self { list, codes: Arc::default(), topics }
    }

    /// The same models with these code tables.
    #[must_use]
    pub fn with_codes(self, codes: CodeTables) -> Self {
        Self { codes: Arc::new(codes), ..self }
    }

    /// Which model and device a topic name belongs to. `None`: no filter matches, or the level that names the device is
    /// empty, longer than 128 bytes or holds control characters.
    ///
    /// Takes about 100 ns, most of it for the `DeviceId`; a caller that sees the same topics again and again can keep
    /// the answer for as long as it keeps the models.
    #[must_use]
    pub fn bind(&self, topic: &str) -> Option<Binding> {
        let target = self.topics.find(topic)?;
        let model = &self.list[target.model];
        let level = || topic.split('/').nth(target.device_level).unwrap_or("");
        let (device, subject) = match target.decoder {
            None => (level().into(), Subject::Presence),
            Some(decoder) if model.decoders[decoder].format == Format::Sparkplug => match subject::sparkplug(topic) {
                Some((device, edge)) => (device, Subject::Edge(edge)),
                None => (topic.into(), Subject::Nothing),
            },
            Some(decoder) => (level().into(), Subject::of(model, &model.decoders[decoder], target.device_level, topic)),
        };
        let device = is_device_id(&device).then(|| DeviceId::from(&*device))?;
        Some(Binding { model: target.model, device, decoder: target.decoder.unwrap_or(0), subject })
    }

    /// What to subscribe to: every filter of every model, each once, in the order of the files.
    #[must_use]
    pub fn filters(&self) -> Vec<Arc<str>> {
        let mut filters: Vec<Arc<str>> = Vec::new();
        for pattern in self.list.iter().flat_map(|m| patterns(m)) {
            if !filters.contains(&pattern.filter) {
                filters.push(pattern.filter.clone());
            }
        }
        filters
    }

    /// A model by its id.
    #[must_use]
    pub fn get(&self, id: &ModelId) -> Option<&Arc<Model>> {
        self.list.iter().find(|m| m.id == *id)
    }

    /// The number of a model in the list, by its id.
    #[must_use]
    pub fn index(&self, id: &ModelId) -> Option<usize> {
        self.list.iter().position(|m| m.id == *id)
    }
}

/// The filters of a model, that of its presence last.
fn patterns(model: &Model) -> impl Iterator<Item = &TopicPattern> {
    model.topics.iter().chain(model.presence.iter().map(|p| &p.topic))
}
