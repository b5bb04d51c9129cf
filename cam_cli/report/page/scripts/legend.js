/* The legend: a scale of the colours of the maps. */

function gradient(name) {
  const css = (abgr) => `rgb(${abgr & 255} ${abgr >> 8 & 255} ${abgr >> 16 & 255})`;
  const colours = Array.from(palette(name)).filter((_, i) => i % 15 === 0).map(css);
  return `linear-gradient(to right, ${colours.join(',')})`;
}

// Of the maps of the run, or of one with this peak.
const legends = () => [data.signs?.signed && signedLegend(), data.signs?.strength && strengthLegend()];
function legendOf({ sketch, peak, scale, colour_scale: common }) {
  if (sketch?.signed) return signedLegend(common ?? peak);
  return strengthLegend(common ?? scale ?? peak, common ? 'all maps' : 'peak');
}

const LAST_COLOUR = {
  word: 'the peak of the strongest word', peak: 'its own peak', 'all maps': 'the scale of all maps',
};

function strengthLegend(peak, whose = 'peak') {
  const ramp = h('i.ramp.chosen', { style: { 'background-image': gradient(state.map) } });
  const last = peak === undefined ? 'peak' : `${whose} ${figure(peak)}`;
  const lost = data.evidence === 'both' && h('em.tag', { title: LOST_SIGNS }, 'strength only');
  const title = `Colours of a map, from nothing to ${LAST_COLOUR[captions && !asked ? 'word' : whose]}`;
  return h('div.legend', { title }, h('span', '0'), ramp, h('span', last), lost);
}

function signedLegend(peak) {
  const end = peak === undefined ? '' : figure(Math.abs(peak));
  const title = 'Colours of a map, from evidence against the class to evidence for it; none in the middle';
  return signedLegendOf(end ? `−${end} against` : 'against', end ? `for ${end}` : 'for', title);
}

function signedLegendOf(less, more, title) {
  const ramp = h('i.ramp', { style: { 'background-image': gradient(TWO_SIDED) } });
  return h('div.legend.signed', { title }, h('span', less), ramp, h('span', more));
}

const LOST_SIGNS = 'The run kept the strength of the evidence, and not whether it is for the class or against it. ' +
  'Explain the images again to see both in two colours.';

function showLegends() {
  for (const ramp of document.querySelectorAll('.ramp.chosen')) ramp.style.backgroundImage = gradient(state.map);
}
