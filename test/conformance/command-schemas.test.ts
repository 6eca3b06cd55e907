import { expect } from 'chai'
import { loadCommands } from '../support/command-list.js'
import {
  compileCommandSchema,
  ERROR_SCHEMA,
  expectCommandJson,
  listCommandSchemas,
  readCommandSchema,
} from '../support/command-schemas.js'

describe('the schemas of what commands print', () => {
  const schemas = listCommandSchemas()

  it('are there for every command with --json, and for no others', async function () {
    this.timeout(60_000)
    const printing = (await loadCommands()).filter(({ flags }) => 'json' in flags)
    const names = printing.map(({ id }) => id.replaceAll(':', '-'))
    expect(schemas).to.deep.equal([...names, ERROR_SCHEMA].sort())
  })

  for (const name of schemas) {
    it(`${name} is a schema, and leaves nothing open`, () => {
      compileCommandSchema(name)
      const schema = readCommandSchema(name)
      expect(schema['$schema']).to.equal('https://json-schema.org/draft/2020-12/schema')
      expect(schema['title']).to.be.a('string')
      expect(openObjects(schema)).to.deep.equal([])
    })
  }

  it('refuse what they do not describe', () => {
    expect(() => expectCommandJson('hash-password', '{"hash":"x","more":1}')).to.throw('more')
    expect(() => expectCommandJson('hash-password', '{}')).to.throw('hash')
    expect(() => expectCommandJson('hash-password', 'hash')).to.throw(SyntaxError)
    expect(expectCommandJson('hash-password', '{"hash":"x"}')).to.deep.equal({ hash: 'x' })
  })
})

/** Objects with properties of ours that would take any others, too. */
function openObjects(schema: unknown, path = ''): string[] {
  if (typeof schema !== 'object' || schema === null) return []
  const isOpen = 'properties' in schema && !('additionalProperties' in schema)
  const inner = Object.entries(schema).flatMap(([key, value]) => openObjects(value, `${path}/${key}`))
  return isOpen ? [path, ...inner] : inner
}
