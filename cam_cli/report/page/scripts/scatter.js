/* Two measures against each other, a point for each image. A rectangle drawn with the pointer, or limits that are
   typed, choose images as any other filter does. */

const AXES = ['prob', 'area', 'border', 'entropy', 'center_x', 'center_y', 'peak'];
const isShare = (name) => name !== 'peak';
const wordOf = (name, x) => isShare(name) ? percent(x) : figure(x);

function axisNames() { // of both axes, from the address
  const known = (name, other) => AXES.includes(name) ? name : other;
  return [known(state.x, 'prob'), known(state.y, 'border')];
}

function showScatter(view) {
  const plots = axisNames().map((name) => ({ name, scale: measureScale(name) }));
  const pairs = AXES.map((name) => [name, RANGES[name]]);
  const field = (k, key, title) => choices(pairs, plots[k].name, (value) => go({ [key]: value }), title);
  const clear = plots.some(({ name }) => state[name]) && h('button', {
    onclick: () => go(Object.fromEntries(plots.map(({ name }) => [name, '']))),
  }, 'Clear the rectangle');
  view.append(
    h('div.line', field(0, 'x', 'Measure to the right'), ' against ', field(1, 'y', 'Measure upwards'), clear,
      h('span.quiet', labelled ? [h('i.swatch.dot'), 'right ', h('i.swatch.square'), 'wrong '] : '',
        h('i.swatch.ghost'), 'outside the filters. Draw a rectangle to filter; a click opens an image.')),
    scatterPlot(plots), inSightStrip());
}

const scales = new Map();
function measureScale(name) { // over all images, so that it stays while filters change
  if (!scales.has(name)) {
    let low = Infinity, high = -Infinity;
    for (const x of columns[name]) {
      if (missing(x)) continue;
      if (x < low) low = x;
      if (x > high) high = x;
    }
    scales.set(name, scaleOf([low > high ? [0, 0, 1] : [low, low, high]], false));
  }
  return scales.get(name);
}

function scatterPlot(plots) {
  const { width, height, left, right, top, bottom } = PLOT, [across, up] = plots;
  const x = pixelsOf(across.scale, left, width - right), y = pixelsOf(up.scale, height - bottom, top);
  const word = ({ name }) => isShare(name) ? shortPercent : figure;
  const canvas = h('canvas', { width: 2 * width, height: 2 * height });
  const drawn = svg('svg', { viewBox: `0 0 ${width} ${height}`, class: 'chart', 'aria-hidden': 'true' },
    axes(x, y, ...plots.map((one) => [ticksOf(one.scale), word(one), RANGES[one.name]])));
  drawPoints(canvas, across.name, up.name, x, y);
  const name = `${RANGES[up.name]} over ${RANGES[across.name]}, ${many(chosen.length, 'image')} of ${imageCount}`;
  const box = h('div.scatter-plot', { role: 'img', 'aria-label': name }, drawn, canvas);
  listenToBrush(box, plots, x, y);
  return box;
}

function drawPoints(canvas, across, up, x, y) {
  const context = canvas.getContext('2d'), style = getComputedStyle(document.documentElement);
  const [xs, ys] = [columns[across], columns[up]], { correct } = columns;
  const size = imageCount > 20_000 ? 2 : imageCount > 2000 ? 3 : 5;
  context.scale(2, 2);
  const dots = (rows, colour, opacity, side, keep) => {
    context.fillStyle = style.getPropertyValue(colour);
    context.globalAlpha = opacity;
    for (const i of rows) {
      if (keep(i)) context.fillRect(x(xs[i]) - side / 2, y(ys[i]) - side / 2, side, side);
    }
  };
  const crowded = chosen.length > 2000 ? 0.5 : 0.8;
  if (chosen.length < imageCount) dots(columns.image.keys(), '--ghost', 1, size, () => true);
  dots(chosen, '--accent', crowded, size, (i) => correct[i] !== 0);
  dots(chosen, '--wrong', 0.9, size + 2, (i) => correct[i] === 0);
}

/* The rectangle. */

function listenToBrush(box, plots, x, y) {
  const { width, height, left, right, top, bottom } = PLOT, frame = h('div.brush', { hidden: true });
  let from = null;
  const at = (event) => { // in pixels of the plot, kept inside the axes
    const { left: l, top: t, width: w } = box.getBoundingClientRect(), scale = width / w;
    const within = (v, low, high) => Math.min(high, Math.max(low, v));
    const [across, down] = [(event.clientX - l) * scale, (event.clientY - t) * scale];
    return [within(across, left, width - right), within(down, top, height - bottom)];
  };
  const place = ([a, b], [c, d]) => setStyle(frame, {
    left: percentOf(Math.min(a, c), width), top: percentOf(Math.min(b, d), height),
    width: percentOf(Math.abs(a - c), width), height: percentOf(Math.abs(b - d), height),
  });
  box.append(frame);
  showLimits(frame, place, plots, x, y);
  box.addEventListener('pointerdown', (event) => {
    if (event.button) return;
    from = at(event);
    box.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  box.addEventListener('pointermove', (event) => {
    if (!from) return;
    frame.hidden = false;
    place(from, at(event));
  });
  box.addEventListener('pointercancel', () => { from = null; });
  box.addEventListener('pointerup', (event) => {
    if (!from) return;
    const [[a, b], [c, d]] = [from, at(event)];
    from = null;
    if (Math.hypot(a - c, b - d) < 5) openNearest(plots, x, y, [c, d]);
    else go({ ...limitsOf(plots[0], x, a, c), ...limitsOf(plots[1], y, b, d) });
  });
}

function showLimits(frame, place, plots, x, y) { // the rectangle of the filters that are set
  const [across, up] = plots.map(({ name }) => state[name] && rangeOf(state[name]));
  if (!across && !up) return;
  const pixels = (range, of, low, high) => range ? range.map((v) => Math.min(high, Math.max(low, of(v)))) : [low, high];
  const { width, height, left, right, top, bottom } = PLOT;
  const [a, c] = pixels(across, x, left, width - right), [b, d] = pixels(up, y, top, height - bottom);
  frame.hidden = false;
  place([a, b], [c, d]);
}

function limitsOf({ name, scale }, of, a, b) { // the values between two places, as a filter
  const [zero, one] = [of(0), of(1)], value = (pixel) => (pixel - zero) / (one - zero);
  const digits = (v) => Number(v.toFixed(Math.max(0, 3 - Math.floor(Math.log10(scale.step * scale.count)))));
  const [low, high] = [value(a), value(b)].sort((p, q) => p - q).map(digits);
  return { [name]: `${low}~${high}` };
}

function openNearest(plots, x, y, [px, py]) {
  const [xs, ys] = plots.map(({ name }) => columns[name]);
  let best = 12 ** 2, found = -1;
  for (const i of chosen) {
    const apart = (x(xs[i]) - px) ** 2 + (y(ys[i]) - py) ** 2;
    if (apart < best) [best, found] = [apart, i];
  }
  if (found >= 0) go({ image: columns.image[found] }, true);
}

function inSightStrip() { // the first images that pass the filters
  if (!chosen.length) return noneChosen();
  const all = galleryLink(`all ${chosen.length.toLocaleString('en')} in the gallery`, {});
  const first = Array.from(chosen.slice(0, 12), smallCard);
  return h('section', h('h2.minor', 'Images that pass the filters ', all), h('div.strip', first));
}
