package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// chart is a plot of lines over a linear plane.
type chart struct {
	title, x, y string // of the whole and of the axes
	lines       []chartLine
	fromY, toY  float64 // at least; the axis of x goes as far as the points
}

// chartLine is a line of a chart.
type chartLine struct {
	name   string
	points []chartPoint
	dots   bool // at each point
}

type chartPoint struct{ x, y float64 }

// The measures of a chart, in pixels.
const (
	chartWidth, chartHeight           = 720, 440
	marginLeft, marginRight           = 76, 24
	marginTop, marginBottom           = 68, 60
	plotWidth, plotHeight             = chartWidth - marginLeft - marginRight, chartHeight - marginTop - marginBottom
	titleY, legendY                   = 28, 52
	letterWidth                       = 7 // about: what an image cannot measure
	chartTicks, tickLength, dotRadius = 6, 5, 3
)

// chartColors tell lines apart, also for who does not see all colors (Okabe and Ito).
var chartColors = [...]string{"#0072b2", "#d55e00", "#009e73", "#cc79a7"}

// svg returns the chart as an SVG image.
func (c *chart) svg() []byte {
	d := &drawing{c: c}
	d.scale()
	fmt.Fprintf(&d.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="13" fill="#222">`+"\n", chartWidth, chartHeight)
	fmt.Fprintf(&d.b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", chartWidth, chartHeight)
	d.text(chartWidth/2, titleY, `text-anchor="middle" font-size="16"`, c.title)
	d.axes()
	for i, l := range c.lines {
		d.line(l, chartColors[i%len(chartColors)])
	}
	d.legend()
	d.b.WriteString("</svg>\n")
	return []byte(d.b.String())
}

// drawing is an image under way.
type drawing struct {
	c            *chart
	b            strings.Builder
	xAxis, yAxis axis
}

// axis is the range of values along one, and the step between ticks.
type axis struct{ from, to, step float64 }

// newAxis returns an axis with some chartTicks round ticks from from to to or a little farther.
func newAxis(from, to float64) axis {
	if !(to > from) {
		to = from + 1
	}
	rough := (to - from) / chartTicks
	unit := math.Pow(10, math.Floor(math.Log10(rough)))
	step := 10 * unit
	for _, round := range []float64{1, 2, 5} {
		if rough <= round*unit {
			step = round * unit
			break
		}
	}
	return axis{math.Floor(from/step) * step, math.Ceil(to/step-1e-9) * step, step}
}

// ticks returns the values that have one. They are counted, not added up, so that they stay round.
func (a axis) ticks() (at []float64) {
	for i := math.Round(a.from / a.step); i <= math.Round(a.to/a.step); i++ {
		at = append(at, i*a.step)
	}
	return at
}

// label returns a value with the digits that the step needs.
func (a axis) label(v float64) string {
	digits := max(0, -int(math.Floor(math.Log10(a.step))))
	return strconv.FormatFloat(v, 'f', digits, 64)
}

func (d *drawing) scale() {
	fromX, toX, toY := math.Inf(1), math.Inf(-1), d.c.toY
	for _, l := range d.c.lines {
		for _, p := range l.points {
			fromX, toX, toY = min(fromX, p.x), max(toX, p.x), max(toY, p.y)
		}
	}
	if fromX > toX { // no points
		fromX, toX = 0, 1
	}
	d.xAxis, d.yAxis = newAxis(fromX, toX), newAxis(d.c.fromY, toY)
}

// px and py return where a value is.
func (d *drawing) px(x float64) float64 {
	return marginLeft + plotWidth*(x-d.xAxis.from)/(d.xAxis.to-d.xAxis.from)
}

func (d *drawing) py(y float64) float64 {
	return marginTop + plotHeight*(1-(y-d.yAxis.from)/(d.yAxis.to-d.yAxis.from))
}

func (d *drawing) axes() {
	const bottom, right = marginTop + plotHeight, marginLeft + plotWidth
	for _, v := range d.xAxis.ticks() {
		d.stroke(d.px(v), marginTop, d.px(v), bottom, "#e4e4e4")
		d.stroke(d.px(v), bottom, d.px(v), bottom+tickLength, "#444")
		d.text(d.px(v), bottom+20, `text-anchor="middle"`, d.xAxis.label(v))
	}
	for _, v := range d.yAxis.ticks() {
		d.stroke(marginLeft, d.py(v), right, d.py(v), "#e4e4e4")
		d.stroke(marginLeft-tickLength, d.py(v), marginLeft, d.py(v), "#444")
		d.text(marginLeft-10, d.py(v)+4, `text-anchor="end"`, d.yAxis.label(v))
	}
	d.stroke(marginLeft, bottom, right, bottom, "#444")
	d.stroke(marginLeft, marginTop, marginLeft, bottom, "#444")
	d.text(marginLeft+plotWidth/2, chartHeight-16, `text-anchor="middle"`, d.c.x)
	const middle = marginTop + plotHeight/2
	d.text(20, middle, fmt.Sprintf(`text-anchor="middle" transform="rotate(-90 20 %d)"`, middle), d.c.y)
}

func (d *drawing) stroke(x1, y1, x2, y2 float64, color string) {
	fmt.Fprintf(&d.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, color)
}

func (d *drawing) text(x, y float64, attributes, s string) {
	fmt.Fprintf(&d.b, `<text x="%.1f" y="%.1f" %s>`, x, y, attributes)
	xml.EscapeText(&d.b, []byte(s)) // a Builder never fails
	d.b.WriteString("</text>\n")
}

func (d *drawing) line(l chartLine, color string) {
	var at []string
	for _, p := range l.points {
		at = append(at, fmt.Sprintf("%.1f,%.1f", d.px(p.x), d.py(p.y)))
	}
	fmt.Fprintf(&d.b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2" stroke-linejoin="round"/>`+"\n", strings.Join(at, " "), color)
	for _, p := range l.points {
		if l.dots {
			fmt.Fprintf(&d.b, `<circle cx="%.1f" cy="%.1f" r="%d" fill="%s"/>`+"\n", d.px(p.x), d.py(p.y), dotRadius, color)
		}
	}
}

// legend names the lines, above the plot, where none of them is.
func (d *drawing) legend() {
	const swatch, gap = 16, 8
	x := float64(marginLeft)
	for i, l := range d.c.lines {
		fmt.Fprintf(&d.b, `<rect x="%.1f" y="%d" width="%d" height="4" fill="%s"/>`+"\n", x, legendY-6, swatch, chartColors[i%len(chartColors)])
		d.text(x+swatch+gap, legendY, `text-anchor="start"`, l.name)
		x += swatch + 3*gap + letterWidth*float64(len(l.name))
	}
}
