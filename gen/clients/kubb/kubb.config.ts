import { defineConfig } from '@kubb/core';
import { pluginClient } from '@kubb/plugin-client';
import { pluginOas } from '@kubb/plugin-oas';
import { pluginTs } from '@kubb/plugin-ts';
import { pluginZod } from '@kubb/plugin-zod';

export default defineConfig({
  input: { path: process.env.SPEC ?? '../../../openapi.yaml' },
  output: { path: './generated', clean: true, extension: { '.ts': '.ts' }, format: false, lint: false },
  plugins: [
    pluginOas({ generators: [] }),
    pluginTs({ enumType: 'literal' }),
    pluginZod(),
    pluginClient({
      importPath: '../../request.ts', // the client that comes with it sends neither forms nor a content type
      dataReturnType: 'full',
      parser: 'zod', // every real request and response is parsed
    }),
  ],
});
