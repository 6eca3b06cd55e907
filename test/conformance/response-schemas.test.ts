import { expect } from 'chai'
import { listOperations, specificationIsHere } from '../support/openapi.js'

describe('answers', () => {
  it("are held against the specification's schemas by every client of the tests", function () {
    if (!specificationIsHere) {
      process.stderr.write('The specification is not at hand: answers are not held against its schemas\n')
      this.skip()
    }
    const operation = listOperations()
      .find(({ operationId }) => operationId === 'sync')
      ?.read()
    expect(operation?.responses.get(200)).to.have.nested.property('properties.next_batch')
  })
})
