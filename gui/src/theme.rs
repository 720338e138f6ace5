//! How Holdfast looks: colours, sizes, type, and the style of egui's own widgets.
//!
//! Owns: every colour and size of the window. Driven by: `app`, once at the start and at each
//! change of appearance; read by all views. Invariants: no other module has a literal of a colour,
//! a radius or a text size; every size is a multiple of the 4-pixel grid; text has a contrast of at
//! least 4.5:1 on what it stands on and glyphs 3:1 (a test measures it). Does not: draw.

use std::collections::BTreeMap;
use std::sync::Arc;

use egui::style::ScrollStyle;
use egui::{
    Color32, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Shadow, Stroke,
    Style, TextStyle, Vec2, Visuals,
};

/// The grid, in points.
pub const UNIT: f32 = 4.0;
/// Between things that belong together.
pub const GAP: f32 = 2.0 * UNIT;
/// Around a group of things.
pub const PAD: f32 = 4.0 * UNIT;
/// Between groups.
pub const SPACE: f32 = 6.0 * UNIT;

/// The corners of small things: chips, highlights.
pub const RADIUS_SMALL: u8 = 8;
/// The corners of fields, buttons, rows.
pub const RADIUS: u8 = 12;
/// The corners of bubbles and dialogs.
pub const RADIUS_LARGE: u8 = 16;

/// The least height of whatever is pressed.
pub const TOUCH: f32 = 10.0 * UNIT;
/// The bars on top of the panes.
pub const HEADER: f32 = 14.0 * UNIT;
/// A row of the list.
pub const ROW: f32 = 16.0 * UNIT;
/// The picture of a person in a row.
pub const AVATAR: f32 = 12.0 * UNIT;
/// And in a header.
pub const AVATAR_SMALL: f32 = 9.0 * UNIT;
/// The strip below the list.
pub const FOOTER: f32 = 10.0 * UNIT;

/// The list's width, and how far it can be dragged.
pub const LIST: f32 = 280.0;
/// See [`LIST`].
pub const LIST_MIN: f32 = 220.0;
/// See [`LIST`].
pub const LIST_MAX: f32 = 400.0;
/// Below this width of the window one pane is shown at a time.
pub const NARROW: f32 = 606.0;
/// A bubble is at most so wide.
pub const BUBBLE_MAX: f32 = 560.0;
/// Or so much of the timeline.
pub const BUBBLE_SHARE: f32 = 0.7;
/// A form: the sign-in card, dialogs.
pub const CARD: f32 = 360.0;

/// Text of one kind: its size, in points, and whether it is bold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// The name of a screen.
    Title,
    /// The name of a chat, a dialog, a group of settings.
    Heading,
    /// Names in rows, buttons.
    Strong,
    /// Messages, everything.
    Body,
    /// What stands back: previews, hints.
    Small,
    /// Times, counts.
    Tiny,
    /// Counts in pills, initials.
    TinyStrong,
}

impl Type {
    /// The font of this kind of text.
    pub fn font(self) -> FontId {
        match self {
            Type::Title => FontId::new(24.0, bold()),
            Type::Heading => FontId::new(16.0, bold()),
            Type::Strong => FontId::new(14.0, bold()),
            Type::Body => FontId::new(14.0, FontFamily::Proportional),
            Type::Small => FontId::new(13.0, FontFamily::Proportional),
            Type::Tiny => FontId::new(11.0, FontFamily::Proportional),
            Type::TinyStrong => FontId::new(11.0, bold()),
        }
    }
}

fn bold() -> FontFamily {
    FontFamily::Name("bold".into())
}

/// The colours of one appearance, by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    /// Whether it is the dark one.
    pub is_dark: bool,
    /// Behind the timeline.
    pub ground: Color32,
    /// Behind list, headers, composer, cards.
    pub surface: Color32,
    /// Fields, chips, and what is hovered.
    pub raised: Color32,
    /// What is pressed, and the open chat's row.
    pub selected: Color32,
    /// Lines between panes.
    pub line: Color32,
    /// Text.
    pub text: Color32,
    /// Text that stands back.
    pub weak: Color32,
    /// What can be pressed, what is new, whose focus it is.
    pub accent: Color32,
    /// On an area in `accent`.
    pub on_accent: Color32,
    /// The other's bubble.
    pub their_bubble: Color32,
    /// The own bubble.
    pub own_bubble: Color32,
    /// Text in it.
    pub own_text: Color32,
    /// Times and states in it.
    pub own_weak: Color32,
    /// "Read" in it, links in it.
    pub own_accent: Color32,
    /// Refused, lost, to be deleted.
    pub danger: Color32,
    /// On an area in `danger`.
    pub on_danger: Color32,
    /// Fewer copies than there could be.
    pub warning: Color32,
    /// In order.
    pub good: Color32,
    /// Behind text that was looked for.
    pub mark: Color32,
    /// Behind a dialog.
    pub shade: Color32,
    /// Behind initials; which one follows from the name.
    pub people: [Color32; 8],
    /// Initials.
    pub on_people: Color32,
}

const fn rgb(hex: u32) -> Color32 {
    let [_, r, g, b] = hex.to_be_bytes();
    Color32::from_rgb(r, g, b)
}

/// Deep water.
pub const DARK: Palette = Palette {
    is_dark: true,
    ground: rgb(0x0d_14_17),
    surface: rgb(0x14_1d_21),
    raised: rgb(0x1f_2b_30),
    selected: rgb(0x1c_3c_3d),
    line: rgb(0x24_31_36),
    text: rgb(0xe6_ee_ee),
    weak: rgb(0x93_a5_a8),
    accent: rgb(0x3c_c9_b0),
    on_accent: rgb(0x04_1f_1b),
    their_bubble: rgb(0x1e_2a_2f),
    own_bubble: rgb(0x12_4f_4a),
    own_text: rgb(0xee_f8_f6),
    own_weak: rgb(0xa5_cf_c8),
    own_accent: rgb(0x6f_f0_d8),
    danger: rgb(0xff_7d_72),
    on_danger: rgb(0x33_06_04),
    warning: rgb(0xf2_b5_4a),
    good: rgb(0x4c_d3_8a),
    mark: rgb(0x6b_52_00),
    shade: Color32::from_rgba_premultiplied(4, 8, 9, 168),
    people: [
        rgb(0x9a_3d_5f),
        rgb(0x8a_4b_1f),
        rgb(0x6b_5d_12),
        rgb(0x2f_6b_3c),
        rgb(0x12_6a_6f),
        rgb(0x2a_5f_9e),
        rgb(0x57_4f_b3),
        rgb(0x84_40_97),
    ],
    on_people: rgb(0xff_ff_ff),
};

/// Daylight.
pub const LIGHT: Palette = Palette {
    is_dark: false,
    ground: rgb(0xee_f3_f2),
    surface: rgb(0xff_ff_ff),
    raised: rgb(0xee_f2_f2),
    selected: rgb(0xdf_f3_ef),
    line: rgb(0xdd_e5_e4),
    text: rgb(0x13_20_22),
    weak: rgb(0x56_68_6b),
    accent: rgb(0x0a_7a_6b),
    on_accent: rgb(0xff_ff_ff),
    their_bubble: rgb(0xff_ff_ff),
    own_bubble: rgb(0xc9_ec_e4),
    own_text: rgb(0x0c_26_22),
    own_weak: rgb(0x3c_62_5b),
    own_accent: rgb(0x00_6b_5e),
    danger: rgb(0xc0_2a_1f),
    on_danger: rgb(0xff_ff_ff),
    warning: rgb(0x8f_5b_00),
    good: rgb(0x12_79_43),
    mark: rgb(0xff_df_85),
    shade: Color32::from_rgba_premultiplied(8, 14, 15, 110),
    people: DARK.people,
    on_people: DARK.on_people,
};

impl Palette {
    /// The one that is in use.
    pub fn of(ui: &egui::Ui) -> &'static Palette {
        if ui.visuals().dark_mode { &DARK } else { &LIGHT }
    }
}

/// Makes egui look like this, in both appearances.
pub fn install(ctx: &egui::Context) {
    add_fonts(ctx);
    // The window has its own keys for that, and keeps what was chosen.
    ctx.options_mut(|options| options.zoom_with_keyboard = false);
    ctx.set_style_of(egui::Theme::Dark, style(&DARK));
    ctx.set_style_of(egui::Theme::Light, style(&LIGHT));
}

fn add_fonts(ctx: &egui::Context) {
    let regular = include_bytes!("../../assets/fonts/Inter-Regular.otf").as_slice();
    let semibold = include_bytes!("../../assets/fonts/Inter-SemiBold.otf").as_slice();
    let mut fonts = FontDefinitions::default();
    for (name, bytes) in [("Inter", regular), ("Inter SemiBold", semibold)] {
        fonts.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(bytes)));
    }
    let plain = fonts.families.entry(FontFamily::Proportional).or_default();
    // What Inter has not (signs, emoji) comes from the fonts behind it, then from the system's.
    let behind = plain.clone();
    plain.insert(0, "Inter".to_owned());
    let bold_fonts = std::iter::once("Inter SemiBold".to_owned()).chain(behind).collect();
    fonts.families.insert(bold(), bold_fonts);
    ctx.set_fonts(fonts);
}

fn style(palette: &Palette) -> Style {
    let text_styles = BTreeMap::from([
        (TextStyle::Heading, Type::Heading.font()),
        (TextStyle::Body, Type::Body.font()),
        (TextStyle::Button, Type::Strong.font()),
        (TextStyle::Small, Type::Small.font()),
        (TextStyle::Monospace, FontId::new(13.0, FontFamily::Monospace)),
    ]);
    let mut style = Style { text_styles, ..Style::default() };
    style.spacing.item_spacing = Vec2::splat(GAP);
    style.spacing.button_padding = Vec2::new(PAD, GAP);
    style.spacing.interact_size = Vec2::splat(TOUCH);
    style.spacing.window_margin = Margin::same(24);
    style.spacing.menu_margin = Margin::same(8);
    style.spacing.scroll = ScrollStyle { bar_width: GAP, ..ScrollStyle::floating() };
    style.interaction.tooltip_delay = 0.4;
    style.interaction.selectable_labels = false;
    // Nothing moves by itself: a still window draws nothing.
    style.visuals = visuals(palette);
    style.animation_time = 0.0;
    style
}

fn visuals(palette: &Palette) -> Visuals {
    let mut visuals = if palette.is_dark { Visuals::dark() } else { Visuals::light() };
    visuals.panel_fill = palette.surface;
    visuals.window_fill = palette.surface;
    visuals.window_stroke = Stroke::new(1.0, palette.line);
    visuals.window_corner_radius = CornerRadius::same(RADIUS_LARGE);
    visuals.menu_corner_radius = CornerRadius::same(RADIUS);
    visuals.window_shadow = Shadow { offset: [0, 8], blur: 32, spread: 0, color: palette.shade };
    visuals.popup_shadow = Shadow { offset: [0, 4], blur: 16, spread: 0, color: palette.shade };
    visuals.extreme_bg_color = palette.raised;
    visuals.text_edit_bg_color = Some(palette.raised);
    visuals.faint_bg_color = palette.raised;
    visuals.hyperlink_color = palette.accent;
    visuals.warn_fg_color = palette.warning;
    visuals.error_fg_color = palette.danger;
    visuals.weak_text_color = Some(palette.weak);
    visuals.selection.bg_fill = palette.accent.gamma_multiply(0.35);
    visuals.selection.stroke = Stroke::new(2.0, palette.accent);
    visuals.text_cursor.stroke = Stroke::new(2.0, palette.accent);
    visuals.text_cursor.blink = false;
    let widgets = &mut visuals.widgets;
    widgets.noninteractive.bg_stroke = Stroke::new(1.0, palette.line);
    widgets.noninteractive.fg_stroke = Stroke::new(1.0, palette.text);
    for (state, fill) in [
        (&mut widgets.inactive, palette.raised),
        (&mut widgets.hovered, palette.selected),
        (&mut widgets.active, palette.selected),
        (&mut widgets.open, palette.selected),
    ] {
        state.bg_fill = fill;
        state.weak_bg_fill = fill;
        state.bg_stroke = Stroke::NONE;
        state.fg_stroke = Stroke::new(1.5, palette.text);
        state.corner_radius = CornerRadius::same(RADIUS);
        state.expansion = 0.0;
    }
    visuals
}

/// The stroke around what has the focus.
pub fn focus_stroke(palette: &Palette) -> Stroke {
    Stroke::new(2.0, palette.accent)
}

/// The sign: its ground, and its three rings.
pub const SIGN: [Color32; 4] = [rgb(0x0f_34_3a), rgb(0xa4_f6_e6), rgb(0x3c_c9_b0), rgb(0x24_9f_8c)];

/// The window's icon for the system, out of `assets/icon`.
pub fn icon() -> egui::IconData {
    let png = include_bytes!("../../assets/icon/holdfast-256.png");
    eframe::icon_data::from_png_bytes(png).expect("it is a picture: a test has read it")
}

#[cfg(test)]
mod tests;
