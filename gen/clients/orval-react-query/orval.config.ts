import { defineConfig } from 'orval';

export default defineConfig({
  usermanager: {
    input: process.env.SPEC ?? '../../../openapi.yaml',
    output: {
      client: 'react-query',
      httpClient: 'fetch',
      target: 'generated/api.ts',
      schemas: 'generated/model',
      headers: true, // If-Match is a parameter of the generated functions
      override: {
        mutator: { path: './request.ts', name: 'request' },
        fetch: { forceSuccessResponse: true }, // request.ts throws everything else
      },
    },
  },
});
