/** Nids of a room as one text: a row for each room costs far less than one for each of them. */
export interface NidsRow {
  readonly room_nid: number
  /** Separated by commas; null where there are none. */
  readonly nids: string | null
}

/** The nids by that of their room, in the order of the texts. */
export function nidsByRoom(rows: readonly NidsRow[]): Map<number, number[]> {
  return new Map(rows.map((row) => [row.room_nid, row.nids === null ? [] : row.nids.split(',').map(Number)]))
}
