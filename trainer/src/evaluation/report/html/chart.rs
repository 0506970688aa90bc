//! Line charts as inline SVG.

use std::error::Error;

use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;

/// Width and height in pixels.
const SIZE: (u32, u32) = (860, 460);

/// A point with an interval in y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Horizontal.
    pub x: f64,
    /// Vertical.
    pub y: f64,
    /// Lower and upper end of the interval; both y where there is none.
    pub interval: [f64; 2],
}

impl Point {
    /// A point without an interval.
    #[must_use]
    pub fn new(x: f64, y: f64) -> Self {
        Point { x, y, interval: [y, y] }
    }
}

/// One line of a chart.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its colour.
    pub color: RGBColor,
    /// Stroke width in pixels.
    pub width: u32,
    /// Dashed, for bounds.
    pub dashed: bool,
    /// With rising x.
    pub points: Vec<Point>,
}

/// Axes of a chart.
#[derive(Clone, Copy, Debug)]
pub struct Axes<'a> {
    /// Horizontal label.
    pub x: &'a str,
    /// Vertical label.
    pub y: &'a str,
    /// Whether the horizontal axis is logarithmic.
    pub log_x: bool,
}

/// Draws the lines; empty without any points.
///
/// # Errors
/// The plotting library fails.
pub fn svg(axes: &Axes<'_>, series: &[Series]) -> Result<String, Box<dyn Error>> {
    let points = || series.iter().flat_map(|series| &series.points);
    let range = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
    };
    let (left, right) = range(&mut points().map(|point| point.x));
    let (low, high) = range(&mut points().flat_map(|point| point.interval));
    if left > right {
        return Ok(String::new());
    }
    let margin = 0.04 * (high - low).max(1e-6);
    let up = (low - margin)..(high + margin);
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut builder = ChartBuilder::on(&area);
        builder.margin(10).x_label_area_size(40).y_label_area_size(64);
        if axes.log_x {
            let across = (left.max(1e-9) * 0.95..right * 1.05).log_scale();
            draw(&mut builder.build_cartesian_2d(across, up)?, axes, series)?;
        } else {
            let margin = 0.02 * (right - left).max(1e-6);
            draw(&mut builder.build_cartesian_2d(left - margin..right + margin, up)?, axes, series)?;
        }
        area.present()?;
    }
    Ok(text)
}

type Canvas<'a, 'b, X> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, plotters::coord::types::RangedCoordf64>>;

fn draw<X>(canvas: &mut Canvas<'_, '_, X>, axes: &Axes<'_>, series: &[Series]) -> Result<(), Box<dyn Error>>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    // Adding zero turns -0 into 0.
    let number = |value: &f64| format!("{}", (value * 1000.0).round() / 1000.0 + 0.0);
    let mut mesh = canvas.configure_mesh();
    mesh.x_desc(axes.x).y_desc(axes.y).light_line_style(WHITE.mix(0.0)).bold_line_style(BLACK.mix(0.12));
    mesh.x_label_formatter(&number).y_label_formatter(&number).label_style(("sans-serif", 14)).draw()?;
    for Series { color, width, dashed, points } in series {
        let style = color.stroke_width(*width);
        let line: Vec<(f64, f64)> = points.iter().map(|point| (point.x, point.y)).collect();
        if *dashed {
            canvas.draw_series(DashedLineSeries::new(line.iter().copied(), 6, 4, style))?;
        } else {
            canvas.draw_series(LineSeries::new(line.iter().copied(), style))?;
        }
        let bars = points.iter().filter(|point| point.interval[0] < point.interval[1]);
        let bar = |point: &Point| {
            PathElement::new(
                vec![(point.x, point.interval[0]), (point.x, point.interval[1])],
                color.mix(0.45),
            )
        };
        canvas.draw_series(bars.map(bar))?;
        canvas.draw_series(line.iter().map(|point| Circle::new(*point, 1 + *width, color.filled())))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_in_the_picture() {
        let series = |dashed| Series {
            color: RGBColor(1, 2, 3),
            width: 2,
            dashed,
            points: vec![Point::new(0.1, 0.2), Point { x: 0.5, y: 0.4, interval: [0.3, 0.5] }],
        };
        for log_x in [false, true] {
            let axes = Axes { x: "money", y: "quality", log_x };
            let svg = svg(&axes, &[series(false), series(true)]).unwrap();
            assert!(svg.contains("money") && svg.contains("#010203") && svg.contains("</svg>"));
        }
        assert_eq!(svg(&Axes { x: "", y: "", log_x: false }, &[]).unwrap(), "");
    }
}
