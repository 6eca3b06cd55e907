import type { Database, Row } from '../../src/storage/database.js'
import { quoteName } from '../../src/storage/sql-text.js'
import type { TableShape } from '../../src/storage/porting/table-shape.js'

/** Texts that some form of rows could take for something else. */
export const ODD_TEXTS: readonly string[] = [
  '',
  ' ',
  'NULL',
  '\\N',
  '\\.',
  '\\x41',
  '\\',
  'a\tb\nc\r\nd\re',
  '\n',
  '\r',
  '\u0001',
  '\u0001\u0001\u0002',
  '\u0002',
  '\u0003',
  'a\u0003b\u0001\n\u0001',
  '\b\f\v\u001f\u007f\u0085',
  '"quoted" and \'quoted\', with commas',
  '{"body":"a \\"b\\" \\n"}',
  '日本語 👩‍👩‍👧 \ufffd\uffff\u{10ffff}',
  'x'.repeat(3_000),
]

const ODD_INTEGERS: Readonly<Record<string, readonly (number | string)[]>> = {
  SMALLINT: [0, 1, -32_768, 32_767],
  INTEGER: [0, -1, 2_147_483_647, -2_147_483_648],
  BIGINT: [0, -1, 2 ** 53 - 1, '9223372036854775807', '-9223372036854775808'],
}

/** Fills the tables of a new SQLite database, without any sense in it: every column gets everything that it may hold. */
export async function fillWithOddRows(
  db: Database,
  tables: readonly TableShape[],
  rowsEach: number,
): Promise<void> {
  for (const { name } of tables) {
    const columns = await db.reader.all<{ name: string; type: string; notnull: number; pk: number }>(
      `SELECT name, upper(type) AS type, "notnull", pk FROM pragma_table_info('${name}')`,
    )
    const unique = await uniqueColumns(db, name)
    const rows = Array.from({ length: rowsEach }, (_, index) =>
      columns.map((column, place) =>
        oddValue(column, { index, place, unique: column.pk > 0 || unique.has(column.name) }),
      ),
    )
    const names = columns.map((column) => quoteName(column.name)).join(', ')
    const marks = columns.map(() => '?').join(', ')
    await db.write('odd_rows', async (tx) => {
      await Promise.all(
        rows.map((row) => tx.execute(`INSERT INTO ${quoteName(name)} (${names}) VALUES (${marks})`, row)),
      )
    })
  }
}

async function uniqueColumns(db: Database, table: string): Promise<ReadonlySet<string>> {
  const rows = await db.reader.all<Row & { name: string }>(
    `SELECT i.name FROM pragma_index_list('${table}') AS l, pragma_index_info(l.name) AS i WHERE l."unique"`,
  )
  return new Set(rows.map(({ name }) => name))
}

function oddValue(
  column: { name: string; type: string; notnull: number; pk: number },
  { index, place, unique }: { index: number; place: number; unique: boolean },
): string | number | Buffer | null {
  const turn = index + place
  if (unique) {
    // Not those that the migrations have put there, and never the same twice.
    if (column.type === 'TEXT') return `${ODD_TEXTS[turn % ODD_TEXTS.length]!.slice(0, 40)}${index}`
    return 1_000 + index * 7 * (index % 2 === 0 && column.type === 'BIGINT' ? -1 : 1)
  }
  if (column.notnull === 0 && turn % 5 === 0) return null
  if (column.type === 'TEXT') return ODD_TEXTS[turn % ODD_TEXTS.length]!
  if (column.type === 'BLOB')
    return Buffer.from(Array.from({ length: turn % 7 }, (_, byte) => (byte * turn) % 256))
  const integers = ODD_INTEGERS[column.type]!
  return integers[turn % integers.length]!
}
