import { expect } from 'chai'
import { z } from 'zod'
import { applySchema, type RequestPart } from '../../../src/http/schema.js'

const schema = z.looseObject({
  name: z.string(),
  count: z.number().int().min(1).optional(),
  list: z.array(z.looseObject({ id: z.string() })).optional(),
  either: z.union([z.string(), z.number()]).optional(),
  kind: z.enum(['a', 'b']).optional(),
})

function codeOf(input: unknown, part: RequestPart = 'body', as: z.ZodType = schema): string | undefined {
  try {
    applySchema(as, input, part)
    return undefined
  } catch (error) {
    return `${(error as { errcode: string }).errcode}: ${(error as Error).message}`
  }
}

describe('http/schema', () => {
  it('gives what the schema makes of the input, with unknown keys', () => {
    expect(applySchema(schema, { name: 'x', other: [1] }, 'body')).to.deep.equal({ name: 'x', other: [1] })
  })

  it('says what is missing', () => {
    expect(codeOf({})).to.equal('M_MISSING_PARAM: Missing parameter: name')
    expect(codeOf({ name: 'x', list: [{}] })).to.equal('M_MISSING_PARAM: Missing parameter: list.0.id')
    expect(codeOf({}, 'query')).to.equal('M_MISSING_PARAM: Missing parameter: name')
  })

  it('tells wrong types of bodies from wrong values', () => {
    expect(codeOf([])).to.match(/^M_BAD_JSON: body: /)
    expect(codeOf('text')).to.match(/^M_BAD_JSON: body: /)
    expect(codeOf({ name: 1 })).to.match(/^M_BAD_JSON: name: /)
    expect(codeOf({ name: null })).to.match(/^M_BAD_JSON: name: /)
    expect(codeOf({ name: 'x', either: [] })).to.match(/^M_BAD_JSON: either: /)
    expect(codeOf({ name: 'x', count: 0 })).to.match(/^M_INVALID_PARAM: count: /)
    expect(codeOf({ name: 'x', kind: 'c' })).to.match(/^M_INVALID_PARAM: kind: /)
  })

  it('judges by the alternative that the input has most of', () => {
    const pair = z.looseObject({ medium: z.string(), address: z.string().max(5) })
    const whom = z.union([z.looseObject({ user_id: z.string() }), pair])
    const nested = z.looseObject({ whom })
    expect(codeOf({}, 'body', whom)).to.equal('M_MISSING_PARAM: Missing parameter: user_id')
    expect(codeOf({ user_id: 1 }, 'body', whom)).to.match(/^M_BAD_JSON: user_id: /)
    expect(codeOf([], 'body', whom)).to.match(/^M_BAD_JSON: body: /)
    expect(codeOf({ medium: 'email', address: 'too long' }, 'body', whom)).to.match(
      /^M_INVALID_PARAM: address: /,
    )
    expect(codeOf({ whom: {} }, 'body', nested)).to.equal('M_MISSING_PARAM: Missing parameter: whom.user_id')
  })

  it('calls everything wrong in a query an invalid parameter', () => {
    expect(codeOf({ name: ['x', 'y'] }, 'query')).to.match(/^M_INVALID_PARAM: name: /)
  })
})
