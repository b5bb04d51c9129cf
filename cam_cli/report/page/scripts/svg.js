/* Drawings with axes: elements of SVG, and scales from values to pixels. */

// svg('path', { d: 'M0 0' }, child …): an element with attributes and children.
function svg(tag, attributes = {}, ...kids) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, kids);
}

const PLOT = { width: 560, height: 420, left: 66, right: 30, top: 30, bottom: 46 };

// From a scale (scaleOf in groups.js) to pixels of a side of the plot.
function pixelsOf({ start, step, count }, from, to) {
  return (x) => from + (x - start) / (step * count) * (to - from);
}

const ticksOf = ({ start, step, count }) =>
  Array.from({ length: count + 1 }, (_, k) => Number((start + k * step).toPrecision(6)));

// Both axes with their ticks and names. `x` and `y` turn a value into pixels.
function axes(x, y, [xTicks, xWord, xName], [yTicks, yWord, yName]) {
  const { width, height, left, right, top, bottom } = PLOT, low = height - bottom;
  return svg('g', { class: 'axes' },
    yTicks.map((v) => [svg('path', { class: 'rule', d: `M${left} ${y(v)}H${width - right}` }),
      svg('text', { x: left - 7, y: y(v) + 4, 'text-anchor': 'end' }, yWord(v))]),
    xTicks.map((v) => [svg('path', { class: 'rule', d: `M${x(v)} ${top}V${low}` }),
      svg('text', { x: x(v), y: low + 17, 'text-anchor': 'middle' }, xWord(v))]),
    svg('text', { x: (left + width - right) / 2, y: height - 8, 'text-anchor': 'middle' }, xName),
    // Above its axis: on a phone, letters beside it would lie over the ticks.
    svg('text', { x: 4, y: 14 }, yName));
}

const shortPercent = (x) => `${Number((100 * x).toPrecision(4))}\u202f%`; // of a tick
