/* Calibration: whether a probability of 80 % is right in 80 % of the images. The reliability diagram, and the expected
   calibration error (Naeini, Cooper and Hauskrecht 2015) in 15 bins of equal width, as Guo et al. 2017 count them. */

const CALIBRATION_BINS = 15;
const FEW = 100; // images; below that the figures are uncertain

// Of rows with a known verdict. A bin holds probabilities above its lower limit and up to its upper one. `spread`: the
// standard deviation of the share right, if every image were right with its own probability.
function calibrationOf(rows) {
  const bins = Array.from({ length: CALIBRATION_BINS }, () => ({ count: 0, right: 0, prob: 0, variance: 0 }));
  const { prob, correct } = columns;
  let count = 0;
  for (const i of rows) {
    const p = prob[i];
    if (correct[i] < 0 || missing(p)) continue;
    const bin = bins[Math.min(CALIBRATION_BINS - 1, Math.max(0, Math.ceil(p * CALIBRATION_BINS - 1e-6) - 1))];
    bin.count++;
    bin.right += correct[i];
    bin.prob += p;
    bin.variance += p * (1 - p);
    count++;
  }
  for (const bin of bins) {
    bin.gap = mean(bin.right - bin.prob, bin.count);
    bin.spread = mean(Math.sqrt(bin.variance), bin.count);
  }
  const total = (value) => bins.reduce((sum, bin) => sum + (bin.count ? value(bin) : 0), 0);
  return {
    bins, count,
    ece: mean(total((bin) => Math.abs(bin.right - bin.prob)), count),
    // The mean of |x| of a normal x is √(2/π) times its deviation.
    byChance: mean(total((bin) => Math.sqrt(2 / Math.PI * bin.variance)), count),
    accuracy: mean(total((bin) => bin.right), count),
    prob: mean(total((bin) => bin.prob), count),
  };
}

function showCalibration(view) {
  const found = calibrationOf(chosen);
  if (!found.count) {
    view.append(h('p.note', 'No image with a label passes these filters.'));
    return;
  }
  const points = 100 * (found.prob - found.accuracy);
  const side = `${Math.abs(points).toFixed(1)} points ${points >= 0 ? 'too confident' : 'not confident enough'}`;
  view.append(
    h('div.sets',
      h('p', h('b', `ECE ${percent(found.ece)}`), ' expected calibration error, of ',
        `${many(found.count, 'image')} with a label`),
      h('p', h('b', percent(found.byChance)), ' expected on average if every probability were true: ',
        'a finite number of images never shows 0'),
      h('p', h('b', percent(found.prob)), ' mean probability, ', h('b', percent(found.accuracy)),
        ` right: on average ${side}`),
      found.count < FEW && h('p.wrong', `Fewer than ${FEW} images: these figures are uncertain.`)),
    h('div.grid',
      h('section', h('h2.minor', 'Reliability diagram'), reliabilityDiagram(found),
        h('p.quiet', h('i.swatch.dot'), 'share right in a bin, with its 95 % interval (Wilson) ',
          h('i.swatch.band'), 'where it lies in 95 of 100 cases if the probabilities are true. ',
          'Below the diagonal the network is too confident.')),
      h('section', h('h2.minor', 'Images per bin'), calibrationTable(found))),
    h('p.quiet', `ECE: the mean over ${CALIBRATION_BINS} bins of equal width of the distance between the share `,
      'right and the mean probability of the best class, weighted by the images in the bin (Naeini, Cooper ',
      'and Hauskrecht, ',
      '“Obtaining well calibrated probabilities using Bayesian binning”, AAAI 2015; bins as Guo, Pleiss, Sun and ',
      'Weinberger, “On calibration of modern neural networks”, ICML 2017).'));
}

const Z95 = 1.959964;

function wilson(right, count) { // Wilson 1927
  const z2 = Z95 * Z95, share = right / count, whole = 1 + z2 / count;
  const middle = (share + z2 / 2 / count) / whole;
  const half = Z95 * Math.sqrt(share * (1 - share) / count + z2 / 4 / count / count) / whole;
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

function reliabilityDiagram({ bins, count }) {
  const { width, height, left, right, top, bottom } = PLOT, unit = { start: 0, step: 0.2, count: 5 };
  const x = pixelsOf(unit, left, width - right), y = pixelsOf(unit, height - bottom, top), ticks = ticksOf(unit);
  const marks = bins.filter((bin) => bin.count).map((bin) => {
    const p = bin.prob / bin.count, share = bin.right / bin.count, [low, high] = wilson(bin.right, bin.count);
    const [from, to] = [p - Z95 * bin.spread, p + Z95 * bin.spread].map((v) => Math.min(1, Math.max(0, v)));
    const radius = 3 + 7 * Math.sqrt(bin.count / count);
    return svg('g', {},
      svg('rect', { class: 'band', x: x(p) - 9, width: 18, y: y(to), height: Math.max(1, y(from) - y(to)) }),
      svg('path', { class: 'line-of', d: `M${x(p)} ${y(low)}V${y(high)}` }),
      svg('circle', { cx: x(p), cy: y(share), r: radius },
        svg('title', {}, `probability ${percent(p)}, right ${percent(share)} of ${many(bin.count, 'image')}`)));
  });
  const name = 'Reliability diagram: the share right over the probability. The figures stand in the table.';
  return svg('svg', { viewBox: `0 0 ${width} ${height}`, class: 'chart reliability', role: 'img', 'aria-label': name },
    axes(x, y, [ticks, shortPercent, 'probability of the best class'], [ticks, shortPercent, 'share right']),
    svg('path', { class: 'diagonal', d: `M${x(0)} ${y(0)}L${x(1)} ${y(1)}` }), marks);
}

function calibrationTable({ bins, count }) {
  const row = (bin, k) => {
    const limits = `${k / CALIBRATION_BINS}~${(k + 1) / CALIBRATION_BINS}`;
    const words = `${percent(k / CALIBRATION_BINS)} to ${percent((k + 1) / CALIBRATION_BINS)}`;
    const [low, high] = wilson(bin.right, bin.count);
    return h('tr', h('th', { scope: 'row' }, h('a', { href: address({ prob: limits, view: 'gallery' }) }, words)),
      h('td', meter(bin.count / count).slice(0, 1), bin.count.toLocaleString('en')),
      h('td', percent(bin.prob / bin.count)),
      h('td', h('b', percent(bin.right / bin.count)), h('small', ` ${percent(low)} to ${percent(high)}`)));
  };
  const head = ['probability', 'images', 'mean', 'right, 95 % interval'];
  return scroller('Bins', h('table.figures', h('thead', h('tr', head.map((one) => h('th', { scope: 'col' }, one)))),
    h('tbody', bins.map((bin, k) => bin.count ? row(bin, k) : ''))));
}
