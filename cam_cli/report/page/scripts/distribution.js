/* How probabilities and measures are spread over the images, and the mean maps of the whole run. */

const BINS = 25;

async function showDistribution(view) {
  const swatch = (name, text) => [h(`i.swatch.${name}`), text];
  const key = labelled ? [swatch('bars', 'right '), swatch('bars.wrong', 'wrong '),
    swatch('ghost', 'outside the filters. A click shows the images.')] : 'A click on a bar shows its images.';
  const grid = h('div.grid',
    histogram('prob', 'Probability', 'Of the predicted class.'),
    histogram('area', 'Area', 'Share of the image at or above half the peak of the map.'),
    histogram('border', 'Border',
      `Share of the map in the outer 10 % on each side. The line: ${percent(EVEN)}, an even map.`, EVEN),
    histogram('entropy', 'Entropy', 'Near 0 one point, 100 % no preference.'));
  view.append(h('p.quiet', key), grid);
  const maps = meanMaps(await loadPart('means'), -1);
  if (!maps.length || !grid.isConnected) return;
  grid.append(h('section', h('h2.minor', 'Mean map ', h('small', 'of the whole run')), h('div.means', maps), legends(),
    h('p.quiet', 'Always the same corner, or the border? Then the network may be reading a watermark or a frame.')));
}

function histogram(name, title, hint, even) {
  const { all, right, wrong, average } = binned(name), ticks = countTicks(Math.max(1, ...all));
  const highest = ticks[ticks.length - 1];
  const height = (count) => percentOf(count, highest);
  const bar = (total, k) => {
    const low = k / BINS, high = (k + 1) / BINS, wrongs = labelled ? `, ${wrong[k]} wrong` : '';
    const text = `${percent(low)} to ${percent(high)}: ${many(right[k] + wrong[k], 'image')}${wrongs}`;
    const open = () => go({ [name]: `${low}~${high}`, view: 'gallery' }, true);
    return h('button', { hint: text, disabled: !total, onclick: open },
      h('i.ghost', { style: { height: height(total) } }),
      h('i.bars.wrong', { style: { height: height(wrong[k]), bottom: height(right[k]) } }),
      h('i.bars', { style: { height: height(right[k]) } }));
  };
  const mark = even && h('span.mark', { style: { left: percentOf(even, 1) }, title: `an even map: ${percent(even)}` });
  return h('section.histogram',
    h('h2.minor', title, h('small', ` mean ${percent(average)}`)),
    countAxis(ticks), h('div.bins', Array.from(all, bar), mark),
    h('div.axis', [0, 25, 50, 75, 100].map((one) => h('span', `${one} %`))),
    h('p.quiet', hint));
}

function countAxis(ticks) { // at the left of the bars
  const place = (count) => ({ style: { bottom: percentOf(count, ticks[ticks.length - 1]) } });
  const widest = ticks[ticks.length - 1].toLocaleString('en');
  return h('div.counts', { 'aria-hidden': 'true', 'data-widest': widest },
    ticks.map((count) => h('span', place(count), count.toLocaleString('en'))));
}

// Images by bin: all, and of the chosen ones the wrong and the others; the mean is that of the chosen ones.
function binned(name) {
  const values = columns[name], [all, right, wrong] = [0, 1, 2].map(() => new Float64Array(BINS));
  const bin = (x) => Math.min(BINS - 1, Math.floor(x * BINS));
  let sum = 0, count = 0;
  for (const x of values) if (!missing(x)) all[bin(x)]++;
  for (const i of chosen) {
    if (missing(values[i])) continue;
    sum += values[i];
    count++;
    (columns.correct[i] === 0 ? wrong : right)[bin(values[i])]++;
  }
  return { all, right, wrong, average: mean(sum, count) };
}
