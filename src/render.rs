//! temporary
use crate::object::Object;
use crate::tree::Files;
#[derive(Default)]
pub struct RenderOptions;
pub struct Resource {
    pub object: Object,
    pub origin: String,
}
pub struct Rendered {
    pub resources: Vec<Resource>,
}
pub fn render(_: &dyn Files, _: &str, _: &RenderOptions) -> Result<Rendered, Vec<String>> {
    Err(vec![])
}
