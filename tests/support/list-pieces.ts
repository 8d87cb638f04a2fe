// Ids of a list as an upload gives them to the store: a few at a time.
export async function* inPieces(ids: string[], size = 2): AsyncGenerator<string[]> {
  for (let from = 0; from < ids.length; from += size) yield ids.slice(from, from + size)
}
