/* The probability of the best class in A and in B, a point for each image. */

const SIDE = 420, MARGIN = 46;
const FLIP_COLOURS = { same: '--quiet', changed: '--ink', fixed: '--accent', broke: '--wrong' };

function showScatter() {
  const host = byId('scatter'), [first, second, flips] = data.scatter.map(bytes), side = SIDE + MARGIN;
  if (host.firstChild) return;
  const name = `Probability in A and in B of ${many(first.length, 'image')}`;
  const canvas = h('canvas.scatter', { width: 2 * side, height: 2 * side, role: 'img', 'aria-label': name });
  const context = canvas.getContext('2d'), style = getComputedStyle(document.documentElement);
  context.scale(2, 2);
  drawAxes(context, style);
  for (const word of ['same', 'changed', 'fixed', 'broke']) {
    context.fillStyle = style.getPropertyValue(FLIP_COLOURS[word]);
    context.globalAlpha = word === 'same' ? 0.25 : 0.8;
    const size = word === 'same' ? 3 : 5, k = data.words.indexOf(word);
    for (let i = 0; i < first.length; i++) {
      if (flips[i] !== k) continue;
      const x = MARGIN + first[i] / 255 * (SIDE - 8), y = SIDE - 4 - second[i] / 255 * (SIDE - 8);
      context.fillRect(x - size / 2, y - size / 2, size, size);
    }
  }
  const key = data.words.map((word) => [h(`i.swatch.is-${word}`), `${word} `]);
  host.append(canvas, h('p.quiet', key),
    h('p.quiet', 'On the line both are equally confident; above it B is more confident than A.'));
}

function drawAxes(context, style) {
  context.strokeStyle = style.getPropertyValue('--line');
  context.fillStyle = style.getPropertyValue('--quiet');
  context.font = '12px system-ui, sans-serif';
  context.strokeRect(MARGIN, 4, SIDE - 8, SIDE - 8);
  context.beginPath();
  context.moveTo(MARGIN, SIDE - 4);
  context.lineTo(MARGIN + SIDE - 8, 4);
  context.stroke();
  for (const share of [0, 0.5, 1]) {
    context.fillText(`${100 * share} %`, MARGIN + share * (SIDE - 8) - (share === 1 ? 34 : 4), SIDE + 14);
    context.fillText(`${100 * share} %`, 4, SIDE - share * (SIDE - 12) - 2);
  }
  context.fillText('A', MARGIN + SIDE / 2 - 6, SIDE + 30);
  context.fillText('B', 16, SIDE / 4);
}
