import { defineConfig } from 'orval';

export default defineConfig({
  usermanager: {
    input: process.env.SPEC ?? '../../../openapi.yaml',
    output: {
      client: 'fetch',
      target: 'generated/api.ts',
      schemas: 'generated/model',
      headers: true, // If-Match is a parameter of the generated functions
      override: {
        mutator: { path: './request.ts', name: 'request' },
      },
    },
  },
});
