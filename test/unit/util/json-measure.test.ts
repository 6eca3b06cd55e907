import { expect } from 'chai'
import fc from 'fast-check'
import { measureJson } from '../../../src/util/json-measure.js'
import type { JsonValue } from '../../../src/util/json.js'

/** Values within lists and objects, and names of members; what is empty counts once more. */
function partsOf(value: JsonValue): number {
  if (typeof value !== 'object' || value === null) return 0
  const members = Array.isArray(value) ? value : Object.entries(value).flat()
  return members.length === 0 ? 1 : members.reduce<number>((sum, member) => sum + 1 + partsOf(member), 0)
}

function depthOf(value: JsonValue): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}

describe('util/json-measure', () => {
  it('tells depth and parts of any JSON, however it is written', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(undefined, 1), (json, indent) => {
        const value = JSON.parse(JSON.stringify(json)) as JsonValue
        const measure = { depth: depthOf(value), parts: partsOf(value) }
        expect(measureJson(JSON.stringify(value, undefined, indent))).to.deep.equal(measure)
      }),
    )
  })

  it('does not look into strings', () => {
    const text = JSON.stringify(`${'[{,:'.repeat(1000)}"\\${'{,'.repeat(1000)}`)
    expect(measureJson(text)).to.deep.equal({ depth: 0, parts: 0 })
  })
})
