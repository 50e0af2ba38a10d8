/* What comes first among the results of a search: pages that answer questions; last, those that tell how it came about. */
var Scorer = {
  score: (result) => {
    const [page, , , , score] = result;
    if (/^(tutorial|how-to)\//.test(page)) return score + 20;
    if (/^(CHANGELOG|CONTRIBUTING|RELEASING|design|benchmarks|inconsistencies)$/.test(page)) return score - 20;
    return score;
  },
  // As Sphinx has them: a scorer takes the place of its own.
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
