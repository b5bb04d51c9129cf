/* The caption of an image: its words, those with a map as buttons that show it. */

const nameOfMap = (map) => map.word ?? classes[map.target];

function sentence(details) {
  const { words } = details.caption, shown = details.maps.indexOf(mapOf(details));
  const word = ([text, place, tint, prob, depends], k) => {
    const numbers = `probability ${percent(prob)}, depends ${figure(depends)}`;
    if (place < 0) return h('span.quiet', { title: numbers }, text);
    return h('button.word', {
      title: `${numbers}, peak ${percent(tint)} of the strongest`, style: { '--x': tint }, 'data-keep': `word${k}`,
      'aria-pressed': String(place === shown), onclick: () => go({ rank: String(place + 1) }),
    }, text);
  };
  return h('p.sentence', { role: 'group', 'aria-label': 'Words of the caption' },
    words.flatMap((one, k) => [k ? ' ' : '', word(one, k)]));
}
