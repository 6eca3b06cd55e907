import { expect } from 'chai'
import type { Operation, OperationEntry } from '../../support/openapi.js'
import { ResponseSchemaError, ResponseSchemas } from '../../support/response-schemas.js'

const answer = (
  path: string,
  text: string,
  status = 200,
  contentType: string | null = 'application/json',
) => ({
  method: 'GET',
  path,
  status,
  contentType,
  text,
})

function entry(operationId: string, path: string, required: readonly string[]): OperationEntry {
  const responses = new Map([[200, { type: 'object', required }]])
  const read = () =>
    ({ operationId, path, method: 'GET', body: undefined, needsToken: false, responses }) as Operation
  return { operationId, path, method: 'GET', read }
}

describe('support/response-schemas', () => {
  const schemas = new ResponseSchemas([entry('one', '/a/{id}', ['x']), entry('two', '/a/fixed', ['y'])])

  it('take answers of the shape that the operation at the path has', () => {
    schemas.check(answer('/a/1', '{"x":1}'))
    schemas.check(answer('/a/fixed', '{"y":1}'))
  })

  it('refuse others, and those that are no JSON', () => {
    for (const bad of [
      answer('/a/1', '{"y":1}'),
      answer('/a/fixed', '{"x":1}'),
      answer('/a/1', '{"x":1}', 200, null),
    ]) {
      expect(() => {
        schemas.check(bad)
      }, bad.path).to.throw(ResponseSchemaError)
    }
  })

  it('say nothing of what the specification does not describe', () => {
    schemas.check(answer('/b', '[]'))
    schemas.check(answer('/a/1', '{}', 418))
    schemas.check({ ...answer('/a/1', '{}'), method: 'PUT' })
  })
})
