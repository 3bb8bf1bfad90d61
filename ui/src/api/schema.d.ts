// Generated from openapi/tstr.json by `npm run gen`. Never edited.

export interface paths {
    "/api/v1/identity": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns the token that is calling and the namespaces it sees */
        get: operations["get_identity"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/session": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Signs a browser in, with a token or with a code that works once
         * @description The answer sets a cookie that every operation takes where it takes a bearer, for 12 hours or until the token ends or is revoked. Over https at the root of a host it is called `__Host-tstr`, elsewhere `tstr_session`.
         */
        post: operations["create_session"];
        /** Signs the browser out: the answer takes the cookie away */
        delete: operations["delete_session"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/session/preview": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Says whose session a code or a token opens, without opening it
         * @description A code stays good. A page that was opened by a link asks this, and lets its reader decide: a link that signed in by itself would let anybody have others work in his name.
         */
        post: operations["preview_session"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/session/codes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Makes a code that signs somebody in once as this token, within 10 minutes
         * @description A session cannot make one: it would outlast itself.
         */
        post: operations["create_session_code"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Lists the namespaces that the token sees */
        get: operations["list_namespaces"];
        put?: never;
        /** Creates a namespace */
        post: operations["create_namespace"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns a namespace with its quotas, how long it keeps things, and what it has stored */
        get: operations["get_namespace"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /**
         * Changes a namespace
         * @description What the body leaves out stays.
         */
        patch: operations["update_namespace"];
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Lists the tests of a namespace, in the order of their names */
        get: operations["list_tests"];
        put?: never;
        /**
         * Registers a test
         * @description `warnings` of the answer say what may not be as it was meant.
         */
        post: operations["create_test"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns a test */
        get: operations["get_test"];
        /**
         * Creates a test or makes it what the body says
         * @description Fields that are left out get their defaults. `dry_run` answers what would change and changes nothing. The name in the body must be that of the path.
         */
        put: operations["apply_test"];
        post?: never;
        /**
         * Deletes a test
         * @description Its runs stay.
         */
        delete: operations["delete_test"];
        options?: never;
        head?: never;
        /** Changes some fields of a test */
        patch: operations["patch_test"];
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}/pause": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Pauses the schedule of a test
         * @description Triggers still make runs.
         */
        post: operations["pause_test"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Resumes the schedule of a test */
        post: operations["resume_test"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}/schedule": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Tells when a test runs next, in words and instants */
        get: operations["get_test_schedule"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}/ledger": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Lists what became of the instants of a test's schedule, the newest first
         * @description Every instant that was due is here: it ran, it was skipped, or it was missed.
         */
        get: operations["list_ledger"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}/versions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Lists the versions of a test, the newest first: when it was changed, and by whom
         * @description The last 100 are kept. A list has no documents; a single version has.
         */
        get: operations["list_test_versions"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}/versions/{version}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns a test as it was at a version */
        get: operations["get_test_version"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}/series": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Returns the numbers that the latest runs of a test handed over, run by run: result data and metrics
         * @description Text that is a number counts as one.
         */
        get: operations["get_test_series"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/views": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Lists the saved views that are shared in a namespace, and those of the token */
        get: operations["list_views"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/views/{view}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /**
         * Saves a view under a name: a page of the web UI with its query. One of that name is replaced
         * @description A shared one needs a token that may write tests. A namespace shares at most 100, and a token has at most 100 of its own there.
         */
        put: operations["put_view"];
        post?: never;
        /** Removes a view of the token, or a shared one, if there is one of that name */
        delete: operations["delete_view"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/dashboard": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Says how a namespace is: what fails, what is flaky or slower, what waits, and who executes
         * @description It is read from what is kept up to date with each run that ends, so it costs the same whatever the number of runs.
         */
        get: operations["get_dashboard"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/timetable": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Says when the tests of a namespace run by themselves, for up to eight days: each test with its instants, and how many begin in each hour and in each minute of the hour
         * @description A page ends early where its tests have very many instants; counts of pages add up.
         */
        get: operations["get_timetable"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}/runs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Runs a test now, outside its schedule
         * @description Makes one run for each cell of the matrix, or for those that `matrix` selects. The body may be left out.
         */
        post: operations["trigger_run"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/runs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Lists the runs of a namespace, the latest first
         * @description Every parameter that is given must hold; of a repeated `state` or `result` any one.
         */
        get: operations["list_runs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runs/{run}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns a run with its attempts; waits for its end where `Prefer` asks for it */
        get: operations["get_run"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runs/{run}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Cancels a run
         * @description A run that waits ends at once; one that runs ends when its runner has ended the container.
         */
        post: operations["cancel_run"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runs/{run}/retry": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Makes a new run of the same cell with the same configuration
         * @description The body may be left out. With `failed_cases` the cases that failed are named to the container.
         */
        post: operations["retry_run"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/matrices/{matrix_id}/retry": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Makes new runs of those cells of a matrix that failed
         * @description The body may be left out. The new runs are a set of their own; cells that have not finished are left out.
         */
        post: operations["retry_matrix"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runs/{run}/keep": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Pins a run: retention leaves it alone, with its attempts, events and logs
         * @description The body may be left out. A run that is pinned already stays so; a note replaces an earlier one.
         */
        post: operations["keep_run"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runs/{run}/unkeep": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Lets retention remove a run again */
        post: operations["unkeep_run"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runs/{run}/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns the changes of a run's state: who, when, from and to what */
        get: operations["list_run_events"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Tells what changes in a namespace, as it happens
         * @description Server-sent events; `event:` is the kind, `data:` one JSON object that names what changed and does not say what it is now. `run.…` come each once and in order, and have an id: with `Last-Event-ID` a stream goes on from there, for 24 hours, on any server. `ready` stands at the beginning; `reset` says that something was missed and everything is to be read again; `run.many` that more runs changed than are told one by one. `test.state_changed`, `test.flaky_changed`, `runner.state_changed`, `runner.lost` and `queue.changed` say «look again» and have no id. Where nothing is told, a bare `id:` says now and then how far the stream has come. The stream ends with the token; a token has at most 200 open on a server.
         */
        get: operations["watch_events"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runs/{run}/explain": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Says why a run waits, what it does, or why it ended as it did
         * @description For a run that waits: what keeps it, and for each runner that the token sees the first thing that keeps it from taking the run. Every reason is a word for programs and a sentence for people.
         */
        get: operations["explain_run"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/queue": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Lists what waits in a namespace, by the labels that decide who can take it
         * @description Runs are counted up to 1000 for each set of labels and priority; `more` says that there are more.
         */
        get: operations["list_queue"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runs/{run}/logs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Returns the log of a run
         * @description As JSON lines, one entry a line, in the order in which the worker read them; or, with `Accept: text/plain`, as the bytes that the container wrote, of which `Range: bytes=…` takes a part. `follow` goes on until the run has finished, through all its attempts; with `attempt`, until that one has ended. An answer that breaks off is incomplete: go on with `after` or `Range`.
         */
        get: operations["get_run_logs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runs/{run}/artifacts": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Lists the files that a run left behind, by their paths
         * @description Of the latest attempt unless `attempt` says another. `notes` says what was not kept, and why.
         */
        get: operations["list_artifacts"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runs/{run}/artifacts/{artifact}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Returns a file that a run left behind
         * @description `Range: bytes=…` takes a part. The answer is to be saved, as text or as bytes; with `view` it has the media type that the file's name suggests and is to be shown, without scripts and without access to anything.
         */
        get: operations["get_artifact"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runs/{run}/results": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Returns what the test reports of a run say: which were read, how many cases they have, and what was wrong
         * @description Of the latest attempt unless `attempt` says another. A run without reports has an empty list of them.
         */
        get: operations["get_results"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runs/{run}/cases": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Lists the cases of a run, in the order of its reports
         * @description Every parameter that is given must hold; of a repeated `status` any one.
         */
        get: operations["list_run_cases"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runs/{run}/cases/{case}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Returns all that the reports of a run say of a case: its attempts, failures, output, properties
         * @description More than one item where several reports have it, or one has it several times.
         */
        get: operations["get_run_case"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runs/{run}/report": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Writes all cases of a run as a test report: JUnit XML, CTRF, TAP 14, or a JSON object a line */
        get: operations["export_report"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/states": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Lists how all tests of a namespace are: healthy, flaky or broken, with the ends of their latest runs
         * @description A page holds up to 10000 tests.
         */
        get: operations["list_states"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}/cells": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns how a test is in each cell of its matrix, with what each monitor says and by which runs */
        get: operations["list_test_cells"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}/cases": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Lists the cases of a test, each in each of its cells: where it stands, and since which run
         * @description Every parameter that is given must hold; of a repeated `standing` or `status` any one.
         */
        get: operations["list_cases"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}/cases/{case}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns how a case is in each cell, with what each monitor says and by which runs */
        get: operations["get_case"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}/cases/{case}/history": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Lists the runs that had a case, the newest first */
        get: operations["list_case_history"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}/grid": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Returns the cases of a test over its latest runs: a row for each case with a letter for each run
         * @description The runs are the columns, the newest last. Those cases stand first that failed in the latest run.
         */
        get: operations["get_test_grid"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runs/{run}/changes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns what a run changed: cases that fail anew, still fail, are fixed, missing or removed, and since when */
        get: operations["get_run_changes"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}/quarantine": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Lists the cases of a test that are or were in quarantine, the newest entry first
         * @description An entry that has ended stays until it is removed.
         */
        get: operations["list_quarantine"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}/quarantine/{case}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /**
         * Puts a case in quarantine, from now on
         * @description The failure of a muted case does not fail a run; it is recorded all the same. A case that is to be skipped is named to the container. An entry that the case has is replaced. The case must have been in a report of the test.
         */
        put: operations["put_quarantine"];
        post?: never;
        /** Takes a case out of quarantine */
        delete: operations["delete_quarantine"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}/results": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Stores a test report of a run that was made elsewhere
         * @description The body is one report, JUnit XML, CTRF or TAP, of at most 64 MiB. The answer is a run that has finished: it failed when a case failed that is not muted, or the report says so otherwise. A report that cannot be read as a whole makes it an error.
         */
        post: operations["upload_results"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}/changed": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Says what changed between the last pass and the first failure after it
         * @description Of a test, or of a case of it, in a cell; without `cell` in the cell that began to fail last. Both runs are compared as by `compare_runs`. Not found while there is no failure after a pass, or when one of the runs is no longer kept.
         */
        get: operations["get_what_changed"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}/failures": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Groups the failures of a test that say the same
         * @description Failed cases of runs, and failed runs without one, the newest 5000 of the last `days`. Times, numbers, ids, addresses and temporary paths make no difference.
         */
        get: operations["list_failure_groups"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/tests/{test}/analysis": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Says which label values carry the failures of a test, and since when it takes longer
         * @description Labels by the newest 5000 runs of the last `days`, durations by the last 100 runs of each cell.
         */
        get: operations["analyse_test"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/summary": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Says how the runs of a namespace went: over time, and by test, runner and label
         * @description The time is that for which runs were scheduled, in whole intervals of UTC, at most 1000. Only runs that have finished are counted.
         */
        get: operations["get_summary"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/summary/rebuild": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Counts the sums behind the summary anew, from the runs that are there
         * @description Runs go on meanwhile. Days of which runs were removed by retention, and those more than 399 days ago, keep what they have. The answer comes after some seconds; where it says `next`, another call goes on from there. The body may be left out.
         */
        post: operations["rebuild_summary"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runs/{run}/output": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Returns what a run said about itself: result data, metrics and a summary
         * @description Of the latest attempt unless `attempt` says another; attempts are never merged. The summary is Markdown as the test wrote it, and not to be trusted. `notes` says what was not understood or not kept.
         */
        get: operations["get_run_output"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runs/{run}/compare/{other}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Says how a run differs from another one
         * @description Configuration, environment variables, labels, image and runner, durations, result data and metrics, files, and the standard output line by line, without times, durations, ids, addresses and temporary paths. Of each log the last 2 MiB are compared. Of both runs the latest attempt. What is equal is counted or left out, and `notes` says what could not be compared.
         */
        get: operations["compare_runs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/namespaces/{namespace}/runners": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Lists the runners that take runs of a namespace */
        get: operations["list_runners"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runners/{runner}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns a runner */
        get: operations["get_runner"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runners/{runner}/drain": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Lets a runner finish what it has and take nothing new */
        post: operations["drain_runner"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/runners/{runner}/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Lets a drained runner take runs again */
        post: operations["resume_runner"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/tokens": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Lists the tokens that are valid, and others where asked for */
        get: operations["list_tokens"];
        put?: never;
        /**
         * Issues a token, which is shown this once
         * @description It cannot see or do more than the token that issues it.
         */
        post: operations["issue_token"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/tokens/{token}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns what is known of a token */
        get: operations["get_token"];
        put?: never;
        post?: never;
        /**
         * Revokes a token
         * @description It is refused everywhere within 5 seconds.
         */
        delete: operations["revoke_token"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns this document */
        get: operations["get_openapi"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/schemas/test.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns the JSON Schema of a test as users write it, for editors */
        get: operations["get_test_schema"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/livez": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Tells that the process lives */
        get: operations["get_livez"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Tells whether the server can serve
         * @description It cannot while its database does not answer: 503, to be asked again.
         */
        get: operations["get_readyz"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/version": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Returns the version of the server, and of its time zone tables */
        get: operations["get_version"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Returns the metrics of this process in the text format of Prometheus
         * @description A peer on the server's own host needs no token.
         */
        get: operations["get_metrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/docs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Shows this document to people */
        get: operations["get_docs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description The answer to an apply. */
        Applied: {
            /** @description What was done or would be done. */
            change: components["schemas"]["Change"];
            /** @description Whether this was a dry run, which stores nothing. */
            dry_run: boolean;
            /** @description The fields that differ, with their values before and after. */
            diff: components["schemas"]["FieldChange"][];
            /** @description What may not be as it was meant. */
            warnings: string[];
            /**
             * @description The next five instants at which the test runs by itself, or would after a dry run; none while it is paused, and
             *     none while nobody knows where an `H` of its schedule will fall.
             * @default []
             */
            upcoming: components["schemas"]["Upcoming"][];
            /** @description The test as it is stored now; absent where a dry run would create it. */
            test?: components["schemas"]["TestDef"];
        };
        /** @description A file that a run left behind. */
        Artifact: {
            /**
             * @description Its path below the folder for artifacts; of a file from elsewhere, its path in the container without the first
             *     slash.
             */
            path: string;
            /**
             * Format: uint64
             * @description How many bytes it has.
             */
            bytes: number;
            /** @description The SHA-256 of its content. */
            sha256: string;
            /** @description What it seems to be, by its name. */
            media_type: string;
        };
        /** @description A file that differs. */
        ArtifactChange: {
            /** @description Its path. */
            path: string;
            /** @description What became of it. */
            change: components["schemas"]["FileChange"];
            /** @description What the one run left. */
            before?: components["schemas"]["FileContent"];
            /** @description What the other run left. */
            after?: components["schemas"]["FileContent"];
        };
        /** @description The artifacts of one attempt of a run, by their paths. */
        ArtifactList: {
            /**
             * Format: uint16
             * @description The attempt; 0 before the first.
             */
            attempt: number;
            /**
             * Format: uint32
             * @description How many files there are.
             */
            files: number;
            /**
             * Format: uint64
             * @description How many bytes they have together.
             */
            bytes: number;
            /** @description The files. */
            items: components["schemas"]["Artifact"][];
            /** @description What is said of files that were not kept. */
            notes: components["schemas"]["ArtifactNote"][];
        };
        /** @description What is said of files that were not kept: one note for each cause, with how many there were. */
        ArtifactNote: {
            /** @description Why they were not kept. */
            why: components["schemas"]["NoteWhy"];
            /**
             * Format: uint64
             * @description How many there were.
             */
            files: number;
            /**
             * Format: uint64
             * @description How many bytes they have together, as far as that is known.
             */
            bytes: number;
            /** @description The first of them, at most five. */
            paths?: string[];
            /** @description What there is to say beyond that. */
            detail?: string;
        };
        /** @description What a run, or an attempt, tells of its artifacts. */
        ArtifactSummary: {
            /**
             * Format: uint32
             * @description How many files were kept.
             */
            files: number;
            /**
             * Format: uint64
             * @description How many bytes they have together.
             */
            bytes: number;
            /**
             * Format: date-time
             * @description When retention removed them; absent while they can be read.
             */
            removed_at?: string;
        };
        /** @description Which files are kept beside those in the folder for artifacts, and what is made of reports among them. */
        Artifacts: {
            /**
             * @description Files of the container that are kept as well: absolute paths, in which `*` and `?` stand for characters of a name,
             *     `**` for any number of folders, `[ab]` and `{a,b}` for one of several. At most 32.
             * @default []
             */
            paths: string[];
            /**
             * @description Whether a test report is looked for among the files.
             * @default auto
             */
            report: components["schemas"]["ReportMode"];
            /**
             * @description Which files are reports: patterns as in `paths`, for files of any name; a file in the folder for artifacts is
             *     `/tstr/artifacts/…`. Without them reports are found by their names and their first bytes. At most 32.
             */
            reports?: string[];
            /**
             * @description What changes from run to run in the names of cases, such as random parameters: regular expressions; what they match
             *     is left out of a case's identity. At most 20.
             */
            volatile?: string[];
        };
        /** @description Which files are kept beside those in the folder for artifacts, and what is made of reports among them. */
        ArtifactsInput: {
            /**
             * @description Files of the container that are kept as well: absolute paths, in which `*` and `?` stand for characters of a name,
             *     `**` for any number of folders, `[ab]` and `{a,b}` for one of several. At most 32.
             * @default []
             */
            paths?: string[];
            /**
             * @description Whether a test report is looked for among the files.
             * @default auto
             */
            report?: components["schemas"]["ReportMode"];
            /**
             * @description Which files are reports: patterns as in `paths`, for files of any name; a file in the folder for artifacts is
             *     `/tstr/artifacts/…`. Without them reports are found by their names and their first bytes. At most 32.
             */
            reports?: string[];
            /**
             * @description What changes from run to run in the names of cases, such as random parameters: regular expressions; what they match
             *     is left out of a case's identity. At most 20.
             */
            volatile?: string[];
        };
        /** @description A file that belongs to a case or a suite. */
        Attachment: {
            /** @description Its path among the artifacts, or its address, as the report has it: nothing that may be opened unchecked. */
            path: string;
            /** @description What it is called. */
            name?: string;
            /** @description Its media type. */
            content_type?: string;
        };
        /** @description One lease of a run and what came of it. */
        Attempt: {
            /**
             * Format: uint16
             * @description The number, from 1.
             */
            attempt: number;
            /** @description The runner that held the lease. */
            runner_id: components["schemas"]["RunnerId"];
            /** @description That runner's name. */
            runner_name: string;
            /**
             * Format: date-time
             * @description When the lease was given.
             */
            leased_at: string;
            /**
             * Format: date-time
             * @description When the container was permitted to start.
             */
            started_at?: string;
            /**
             * Format: date-time
             * @description When the attempt ended.
             */
            ended_at?: string;
            /** @description How it ended; absent while it is live, and when the lease was given back before the container started. */
            result?: components["schemas"]["RunResult"];
            /** @description Why it ended so. */
            reason?: components["schemas"]["Reason"];
            /** @description A sentence for people. */
            message?: string;
            /**
             * Format: int32
             * @description The container's exit code.
             */
            exit_code?: number;
            /** @description The digest of the image that ran. */
            image_digest?: string;
            /** @description The attempt's log. */
            log: components["schemas"]["LogSummary"];
            /**
             * @description The files that the attempt left behind.
             * @default {
             *       "files": 0,
             *       "bytes": 0
             *     }
             */
            artifacts: components["schemas"]["ArtifactSummary"];
        };
        /** @description What one attempt of a run said about itself. */
        AttemptOutput: {
            /**
             * Format: uint16
             * @description The attempt.
             */
            attempt: number;
            /** @description The result data: values under their keys, at most 1 MiB. */
            data: {
                [key: string]: unknown;
            };
            /** @description The numbers. */
            metrics: components["schemas"]["Metric"][];
            /** @description The summary, in Markdown, as the test wrote it: not to be trusted. Absent when there is none. */
            summary?: string;
            /**
             * @description The summary was longer than 1 MiB, and its end is missing.
             * @default false
             */
            summary_cut: boolean;
            /**
             * @description What was not understood or not kept, and why.
             * @default []
             */
            notes: components["schemas"]["OutputNote"][];
        };
        /** @description What became of one attempt. */
        AttemptStory: {
            /**
             * Format: uint16
             * @description The number, from 1.
             */
            attempt: number;
            /** @description The runner. */
            runner_name: string;
            /** @description How it ended; absent while it goes on, and when the lease was given back before the container started. */
            result?: components["schemas"]["RunResult"];
            /** @description Why it ended so. */
            reason?: components["schemas"]["Reason"];
            /** @description What happened, for people. */
            sentence: string;
        };
        /** @description Label key to the values it takes; the order of the keys is the order of the cells. */
        Axes: {
            [key: string]: string[];
        };
        /** @description Label key to the values it takes; the order of the keys is the order of the cells. */
        AxesInput: {
            [key: string]: components["schemas"]["Axis"];
        };
        /** @description One axis as it may be written: a list, or the original tstr's `{"values": [...]}`. */
        Axis: string[] | components["schemas"]["AxisValues"];
        AxisValues: {
            /** @description The values. */
            values: string[];
        };
        /** @description One reason for where a run stands. */
        Because: {
            /** @description The reason, as a word. */
            why: components["schemas"]["Why"];
            /** @description The reason, for people. */
            sentence: string;
            /**
             * Format: date-time
             * @description Until when it holds, where that is known.
             */
            until?: string;
            /** @description How many there are of what is limited. */
            count?: components["schemas"]["Counted"];
            /**
             * Format: uint32
             * @description How many there may be.
             */
            limit?: number;
            /** @description The concurrency group. */
            group?: string;
        };
        /** @description A case of a report. */
        Case: {
            /** @description The identity, derived from the test and the key. */
            id: components["schemas"]["CaseId"];
            /** @description The parts of the identity. */
            key: components["schemas"]["CaseKey"];
            /** @description Whether the identity came before in the report. */
            repeat?: components["schemas"]["Repeat"];
            /**
             * Format: uint32
             * @description 1, or 2, 3, … for cases that share their identity without being retries of each other.
             */
            ordinal?: number;
            /** @description How it ended, in its last attempt. */
            status: components["schemas"]["CaseStatus"];
            /** @description It passed after at least one attempt that failed. */
            flaky?: boolean;
            /** @description It is skipped because somebody disabled it, not because the test decided so. */
            disabled?: boolean;
            /**
             * Format: uint64
             * @description How long it took in milliseconds, rounded; less than half a millisecond is 0. Absent when the report does not
             *     say it, or says nonsense.
             */
            duration_ms?: number;
            /** @description Every attempt in the order of trial, at least one; the last one gave the status. */
            attempts: components["schemas"]["CaseAttempt"][];
            /** @description Key and value, in the order of the report. */
            properties?: components["schemas"]["Property"][];
            /** @description Files that belong to it. */
            attachments?: components["schemas"]["Attachment"][];
            /**
             * Format: uint32
             * @description The line where the test stands in its file; not part of the identity, because it moves on every edit.
             */
            line?: number;
            /**
             * Format: uint64
             * @description How many assertions it made.
             */
            assertions?: number;
            /** @description The beginning of what it wrote to its standard output. */
            stdout?: components["schemas"]["Excerpt"];
            /** @description The beginning of what it wrote to its standard error. */
            stderr?: components["schemas"]["Excerpt"];
        };
        /** @description One trial of a case. */
        CaseAttempt: {
            /** @description How it ended. */
            status: components["schemas"]["CaseStatus"];
            /**
             * Format: uint64
             * @description How long it took in milliseconds.
             */
            duration_ms?: number;
            /** @description Why it failed or was skipped; one attempt may fail several times. */
            findings?: components["schemas"]["Finding"][];
            /** @description The beginning of its standard output, where the report tells the attempts' apart. */
            stdout?: components["schemas"]["Excerpt"];
            /** @description The beginning of its standard error. */
            stderr?: components["schemas"]["Excerpt"];
        };
        /** @description What became of a case by a run. */
        CaseChange: {
            /** @description The case. */
            case_id: components["schemas"]["CaseId"];
            /** @description The parts of its identity. */
            key: components["schemas"]["CaseKey"];
            /** @description Where it stands after the run. */
            standing: components["schemas"]["Standing"];
            /** @description Since which run that holds, and in how many runs. */
            since?: components["schemas"]["Since"];
            /**
             * Format: uint32
             * @description For whole days, at the end of the run.
             */
            days: number;
            /** @description Since when it had failed, for one that is mended. */
            failed_since?: components["schemas"]["Since"];
        };
        /** @description How many cases there are of each kind. Every case is in exactly one of the first four behind `cases`. */
        CaseCounts: {
            /**
             * Format: uint64
             * @description All cases.
             * @default 0
             */
            cases: number;
            /**
             * Format: uint64
             * @description Cases that passed.
             * @default 0
             */
            passed: number;
            /**
             * Format: uint64
             * @description Cases that failed.
             * @default 0
             */
            failed: number;
            /**
             * Format: uint64
             * @description Cases with errors.
             * @default 0
             */
            errors: number;
            /**
             * Format: uint64
             * @description Cases that were skipped or are disabled.
             * @default 0
             */
            skipped: number;
            /**
             * Format: uint64
             * @description Cases that passed after an attempt that failed; they are among those that passed.
             * @default 0
             */
            flaky: number;
            /**
             * Format: uint64
             * @description Failed cases and cases with errors that are muted; they are counted above as well.
             * @default 0
             */
            muted: number;
        };
        /** @description A case of an attempt with all that its report says of it. */
        CaseDetail: {
            /** @description The run. */
            run_id: components["schemas"]["RunId"];
            /**
             * Format: uint16
             * @description The attempt.
             */
            attempt: number;
            /** @description The report's path. */
            report: string;
            /** @description It is muted: its failure did not count. */
            muted: boolean;
            /** @description The case. */
            case: components["schemas"]["Case"];
        };
        /** @description One page of a list. */
        CaseDetailPage: {
            /** @description The items; there may be fewer than were asked for. */
            items: components["schemas"]["CaseDetail"][];
            /** @description Pass it as `page_token` to get the next page; absent at the end. */
            next_page_token?: string;
        };
        /** @description How a case ended in a run, all places of its reports taken together. */
        CaseEnd: "pass" | "fail" | "skip";
        /**
         * Format: uuid
         * @description Names a case of a test for as long as the parts of its key stay what they are.
         */
        CaseId: string;
        /** @description The parts of a case's identity, as the report has them. The cell is not among them. */
        CaseKey: {
            /** @description The names of the suites around it, the outermost first; the name of the report as a whole is not among them. */
            suite?: string[];
            /** @description The class, module or package, if the report says so. */
            classname?: string;
            /** @description The name. */
            name: string;
            /** @description The file that it stands in, if the report says so; part of the identity only where there is no classname. */
            file?: string;
            /** @description The identity that the test itself gives the case, by a property `testId`; it stands for all other parts. */
            test_id?: string;
        };
        /** @description A case of an attempt, as lists show it. */
        CaseResult: {
            /** @description The case. */
            case_id: components["schemas"]["CaseId"];
            /** @description The parts of its identity. */
            key: components["schemas"]["CaseKey"];
            /**
             * Format: uint16
             * @description The report that it stands in, from 0, and its place there, from 0.
             */
            report: number;
            /**
             * Format: uint32
             * @description Its place in the report, from 0.
             */
            place: number;
            /**
             * Format: uint32
             * @description 1, or 2, 3, … for cases that share their identity without being retries of each other.
             */
            ordinal: number;
            /** @description How it ended. */
            status: components["schemas"]["CaseStatus"];
            /** @description It passed after an attempt that failed. */
            flaky: boolean;
            /** @description It is muted: its failure did not count. */
            muted: boolean;
            /**
             * Format: uint16
             * @description How many attempts before the last one failed.
             */
            failed_attempts: number;
            /**
             * Format: uint64
             * @description How long it took in milliseconds.
             */
            duration_ms?: number;
            /** @description The first words of why it failed or was skipped. */
            message?: string;
        };
        /** @description One page of a list. */
        CaseResultPage: {
            /** @description The items; there may be fewer than were asked for. */
            items: components["schemas"]["CaseResult"][];
            /** @description Pass it as `page_token` to get the next page; absent at the end. */
            next_page_token?: string;
        };
        /** @description A run in the history of a case. */
        CaseRun: {
            /** @description The run. */
            run_id: components["schemas"]["RunId"];
            /** @description Its cell. */
            cell: components["schemas"]["Labels"];
            /**
             * Format: uint16
             * @description The attempt that counts.
             */
            attempt: number;
            /**
             * Format: date-time
             * @description When the run ended.
             */
            finished_at: string;
            /** @description How the case ended. */
            status: components["schemas"]["CaseStatus"];
            /** @description It passed after an attempt that failed. */
            flaky: boolean;
            /** @description Its failure did not count. */
            muted: boolean;
            /**
             * Format: uint64
             * @description How long it took in milliseconds.
             */
            duration_ms?: number;
            /** @description The first words of why it failed or was skipped. */
            message?: string;
            /** @description The digest of the image that ran. */
            image_digest?: string;
        };
        /** @description One page of a list. */
        CaseRunPage: {
            /** @description The items; there may be fewer than were asked for. */
            items: components["schemas"]["CaseRun"][];
            /** @description Pass it as `page_token` to get the next page; absent at the end. */
            next_page_token?: string;
        };
        /** @description A case of a test in a cell, as its latest runs show it. */
        CaseState: {
            /** @description The case. */
            case_id: components["schemas"]["CaseId"];
            /** @description The parts of its identity. */
            key: components["schemas"]["CaseKey"];
            /** @description The cell of the matrix. */
            cell: components["schemas"]["Labels"];
            /** @description Where it stands after the latest run. */
            standing: components["schemas"]["Standing"];
            /** @description Since when it passes or fails; absent for one that was never executed. */
            since?: components["schemas"]["Since"];
            /** @description Since when it is absent. */
            absent?: components["schemas"]["Since"];
            /** @description The first run that had it. */
            first_seen: components["schemas"]["Moment"];
            /** @description The latest run that had it. */
            last_seen: components["schemas"]["Moment"];
            /** @description The run that it passed in last. */
            last_pass?: components["schemas"]["Moment"];
            /** @description The run that it failed in last. */
            last_fail?: components["schemas"]["Moment"];
            /**
             * Format: uint64
             * @description How long it took when it was executed last, in milliseconds.
             */
            duration_ms?: number;
            /** @description Healthy, flaky or broken. */
            status: components["schemas"]["Status"];
            /**
             * Format: date-time
             * @description Since when it has this status.
             */
            changed_at?: string;
            /** @description What each monitor says; empty while there is nothing to say. */
            findings?: components["schemas"]["MonitorFinding"][];
        };
        /** @description One page of a list. */
        CaseStatePage: {
            /** @description The items; there may be fewer than were asked for. */
            items: components["schemas"]["CaseState"][];
            /** @description Pass it as `page_token` to get the next page; absent at the end. */
            next_page_token?: string;
        };
        /** @description How a case, or one attempt of it, ended. */
        CaseStatus: "pass" | "fail" | "error" | "skip";
        /**
         * @description How the cases of two runs differ. A case may be of several kinds: one that is only in the other run and fails there is
         *     among `new` and among `added`.
         */
        CasesComparison: {
            /** @description How many cases the one run has; absent when it has no report. */
            before?: components["schemas"]["CaseCounts"];
            /** @description How many cases the other run has; absent when it has no report. */
            after?: components["schemas"]["CaseCounts"];
            /** @description Cases that failed in the other run and not in the one. */
            new: components["schemas"]["DifferingCases"];
            /** @description Cases that failed in the one run and passed in the other. */
            fixed: components["schemas"]["DifferingCases"];
            /** @description Cases that only the other run has. */
            added: components["schemas"]["DifferingCases"];
            /** @description Cases that only the one run has. */
            removed: components["schemas"]["DifferingCases"];
            /** @description Cases that both executed and that took longer or shorter by more than 50 % and 100 ms, the largest change first. */
            durations: components["schemas"]["DifferingCases"];
        };
        /** @description What happens to instants that were missed, for example because every server was down. */
        CatchUp: "none" | "last" | "all";
        /** @description How long the passing runs of a cell took. */
        CellDurations: {
            /** @description The cell of the matrix; empty for a test without one. */
            cell: components["schemas"]["Labels"];
            /**
             * Format: uint32
             * @description How many runs passed, of the last 100.
             */
            runs: number;
            /**
             * Format: uint32
             * @description So many are needed.
             */
            min_runs: number;
            /** @description Where the durations changed, the oldest first. */
            changes: components["schemas"]["DurationChange"][];
            /** @description That in a sentence. */
            sentence: string;
        };
        /** @description A cell of a test, as its latest runs show it. */
        CellState: {
            /** @description The cell of the matrix; empty for a test without one. */
            cell: components["schemas"]["Labels"];
            /**
             * @description How its latest runs ended, the newest last, at most 60: `p` pass, `r` pass after an attempt that failed, `f` fail,
             *     `e` error, `t` timed out, `c` cancelled.
             */
            strip: string;
            /** @description Healthy, flaky or broken. */
            status: components["schemas"]["Status"];
            /** @description The same with the monitors that only label. */
            label: components["schemas"]["Status"];
            /**
             * Format: date-time
             * @description Since when it has this status; absent while it was never anything but healthy.
             */
            changed_at?: string;
            /** @description What each monitor says, by which figures and which runs; empty while there is nothing to say. */
            findings?: components["schemas"]["MonitorFinding"][];
            /** @description The run that ended last. */
            last_run?: components["schemas"]["RunId"];
            /**
             * Format: date-time
             * @description When that was.
             */
            last_at?: string;
            /** @description How it ended. */
            last_result?: components["schemas"]["RunResult"];
        };
        /** @description One page of a list. */
        CellStatePage: {
            /** @description The items; there may be fewer than were asked for. */
            items: components["schemas"]["CellState"][];
            /** @description Pass it as `page_token` to get the next page; absent at the end. */
            next_page_token?: string;
        };
        /** @description A cell of a test in a list. */
        CellStrip: {
            /** @description The cell of the matrix. */
            cell?: components["schemas"]["Labels"];
            /** @description How its latest runs ended, the newest last. */
            strip: string;
            /** @description Healthy, flaky or broken. */
            status: components["schemas"]["Status"];
        };
        /** @description What an apply did or, as a dry run, would do. */
        Change: "created" | "updated" | "unchanged";
        /** @description One thing that was looked at. */
        Check: {
            /** @description What. */
            name: string;
            /** @description How it is. */
            status: components["schemas"]["HealthStatus"];
        };
        /** @description What can be claimed of a value. */
        Claim: "carries" | "spares" | "unclear" | "too_few";
        /** @description A list of arguments. */
        Command: string[];
        /** @description A list of arguments, or a string that is one argument; answers are lists. */
        CommandInput: string | string[];
        /** @description A case in both runs. */
        ComparedCase: {
            /** @description The case. */
            case_id: components["schemas"]["CaseId"];
            /** @description The parts of its identity. */
            key: components["schemas"]["CaseKey"];
            /** @description How it ended in the one run; absent when it is not there. */
            before?: components["schemas"]["CaseEnd"];
            /** @description How it ended in the other run; absent when it is not there. */
            after?: components["schemas"]["CaseEnd"];
            /**
             * Format: uint64
             * @description How long it took in the one run, in milliseconds.
             */
            before_ms?: number;
            /**
             * Format: uint64
             * @description How long it took in the other run, in milliseconds.
             */
            after_ms?: number;
        };
        /** @description One of two runs. */
        ComparedRun: {
            /** @description Names it. */
            id: components["schemas"]["RunId"];
            /** @description The name of its test. */
            test_name: string;
            /**
             * Format: uint16
             * @description The attempt that is compared: the latest.
             */
            attempt: number;
            /** @description How it ended; absent while it goes on. */
            result?: components["schemas"]["RunResult"];
            /**
             * Format: int32
             * @description Its exit code.
             */
            exit_code?: number;
        };
        /** @description How two runs differ. */
        Comparison: {
            /** @description The one run. */
            before: components["schemas"]["ComparedRun"];
            /** @description The other run. */
            after: components["schemas"]["ComparedRun"];
            /** @description What differs in what was executed; JSON pointers into `run_config`, without its `env`. */
            config: components["schemas"]["ValueChange"][];
            /** @description What differs in the environment variables, by their names. */
            env: components["schemas"]["ValueChange"][];
            /** @description What differs in the labels, by their keys. */
            labels: components["schemas"]["ValueChange"][];
            /**
             * @description What differs around the runs: `image_digest`, `runner_name`, and of what is known of the runners `version`, `engine`
             *     and `platform`.
             */
            surroundings: components["schemas"]["ValueChange"][];
            /**
             * @description How long they took: `waited` from when they were made to the start of the latest attempt, `ran` from there to the end,
             *     in milliseconds.
             */
            durations: components["schemas"]["NumberChange"][];
            /** @description What differs in the result data, by its keys. Long texts are cut. */
            data: components["schemas"]["DataChange"][];
            /** @description The numbers of both, in the order of their series. */
            metrics: components["schemas"]["MetricChange"][];
            /** @description The files that differ. */
            artifacts: components["schemas"]["ArtifactChange"][];
            /**
             * Format: uint32
             * @description How many files have the same path and the same content in both.
             */
            same_artifacts: number;
            /** @description How the cases of their test reports differ. Absent when neither has a report. */
            cases?: components["schemas"]["CasesComparison"];
            /**
             * @description How the standard outputs differ when times, durations, ids, addresses and temporary paths are left aside. Absent when
             *     one of them cannot be read.
             */
            log?: components["schemas"]["LogComparison"];
            /** @description What could not be compared, and why. */
            notes: string[];
        };
        /**
         * @description How many runs may be under way at once. Without it, triggered runs are not limited, and of the scheduled runs of a
         *     test one at a time runs in each cell while the newest other one waits.
         */
        Concurrency: {
            /** @description What becomes of a run while there is no room. */
            policy: components["schemas"]["ConcurrencyPolicy"];
            /**
             * @description Tests of the namespace that name the same group share its room, whatever the case of its letters: 1 to 128
             *     letters, digits, `.`, `_`, `-`. Without it every cell of the test has room of its own.
             */
            group?: string;
            /**
             * Format: uint32
             * @description How many runs may be under way at once, from 1 to 1000; 1 without it. A group has the limit that was
             *     registered last.
             */
            limit?: number;
            /**
             * Format: uint32
             * @description With `queue`: how many triggers or instants may wait, from 0 to 1000; 1 without it.
             */
            depth?: number;
            /** @description With `queue`: what is dropped when more would wait; `oldest` without it. */
            overflow?: components["schemas"]["Overflow"];
        };
        /**
         * @description How many runs may be under way at once. Without it, triggered runs are not limited, and of the scheduled runs of a
         *     test one at a time runs in each cell while the newest other one waits.
         */
        ConcurrencyInput: {
            /** @description What becomes of a run while there is no room. */
            policy: components["schemas"]["ConcurrencyPolicy"];
            /**
             * @description Tests of the namespace that name the same group share its room, whatever the case of its letters: 1 to 128
             *     letters, digits, `.`, `_`, `-`. Without it every cell of the test has room of its own.
             */
            group?: string | null;
            /**
             * Format: uint32
             * @description How many runs may be under way at once, from 1 to 1000; 1 without it. A group has the limit that was
             *     registered last.
             */
            limit?: number | null;
            /**
             * Format: uint32
             * @description With `queue`: how many triggers or instants may wait, from 0 to 1000; 1 without it.
             */
            depth?: number | null;
            /** @description With `queue`: what is dropped when more would wait; `oldest` without it. */
            overflow?: components["schemas"]["Overflow"] | null;
        };
        /** @description What becomes of a run while its group has no room. */
        ConcurrencyPolicy: "allow" | "forbid" | "queue" | "replace";
        /** @description A confidence interval. */
        ConfidenceInterval: {
            /**
             * Format: double
             * @description Its lower end.
             */
            low: number;
            /**
             * Format: double
             * @description Its upper end.
             */
            high: number;
        };
        /** @description A number of things that were counted up to a limit. */
        Counted: {
            /**
             * Format: uint32
             * @description How many there are, or were counted.
             */
            count: number;
            /** @description There are more than were counted. */
            more: boolean;
        };
        /** @description The cases that were read. Every case is in exactly one of `passed`, `failed`, `errors`, `skipped` and `disabled`. */
        Counts: {
            /**
             * Format: uint64
             * @description All cases, retries that came as cases of their own included.
             * @default 0
             */
            cases: number;
            /**
             * Format: uint64
             * @description Cases that passed.
             * @default 0
             */
            passed: number;
            /**
             * Format: uint64
             * @description Cases that failed.
             * @default 0
             */
            failed: number;
            /**
             * Format: uint64
             * @description Cases with errors.
             * @default 0
             */
            errors: number;
            /**
             * Format: uint64
             * @description Cases that were skipped, but for those that are disabled.
             * @default 0
             */
            skipped: number;
            /**
             * Format: uint64
             * @description Cases that somebody disabled.
             * @default 0
             */
            disabled: number;
            /**
             * Format: uint64
             * @description Cases that passed after an attempt that failed; they are among those that passed.
             * @default 0
             */
            flaky: number;
            /**
             * Format: uint64
             * @description Cases that are retries of a case before them.
             * @default 0
             */
            retries: number;
            /**
             * Format: uint64
             * @description Cases that share their identity with a case before them, and are not known to be retries.
             * @default 0
             */
            ambiguous: number;
        };
        /** @description How a namespace is. */
        Dashboard: {
            /**
             * Format: date-time
             * @description When it was looked.
             */
            as_of: string;
            /** @description How many tests are how. */
            tests: components["schemas"]["TestVerdicts"];
            /** @description Those that began to fail within the last 24 hours, the latest first; at most 10. */
            newly_failing: components["schemas"]["FailingTest"][];
            /** @description Those that are flaky, the latest first; at most 10. */
            flaky: components["schemas"]["FlakyTest"][];
            /** @description Those that became slower, the worst first; at most 10. */
            slower: components["schemas"]["SlowerTest"][];
            /** @description What waits. */
            queue: components["schemas"]["QueueVerdict"];
            /** @description Who executes. */
            runners: components["schemas"]["FleetVerdict"];
        };
        /** @description A value of result data that differs. */
        DataChange: {
            /** @description Where it stands: a JSON pointer (RFC 6901). */
            pointer: string;
            /** @description What it was; absent when it was not there. */
            before?: unknown;
            /** @description What it is; absent when it is not there any more. */
            after?: unknown;
            /**
             * Format: double
             * @description The other less the one, where both are numbers or texts of a number.
             */
            delta?: number;
            /**
             * Format: double
             * @description The other divided by the one; absent when that is 0.
             */
            ratio?: number;
        };
        /** @description The counts that a suite or a report declares; absent where it does not. */
        Declared: {
            /**
             * Format: uint64
             * @description All cases.
             */
            tests?: number;
            /**
             * Format: uint64
             * @description Cases that failed.
             */
            failures?: number;
            /**
             * Format: uint64
             * @description Cases with errors.
             */
            errors?: number;
            /**
             * Format: uint64
             * @description Cases that were skipped.
             */
            skipped?: number;
            /**
             * Format: uint64
             * @description Cases that somebody disabled.
             */
            disabled?: number;
        };
        /** @description A line of a difference. */
        DiffLine: {
            /** @description What became of it. */
            change: components["schemas"]["LineChange"];
            /** @description The line, as it was; one that is in both logs is that of the log after. */
            text: string;
        };
        /** @description Cases that differ in one way. */
        DifferingCases: {
            /** @description At most 200 of them. */
            items: components["schemas"]["ComparedCase"][];
            /**
             * Format: uint64
             * @description How many more there are.
             */
            more: number;
        };
        /**
         * @description A duration such as 15s, 10m or 1h30m; answers are in seconds, for instance 900s.
         * @example 900s
         */
        Duration: string;
        /** @description Where durations changed. */
        DurationChange: {
            /** @description The first run after the change. */
            since: components["schemas"]["Moment"];
            /**
             * Format: uint
             * @description The index, in the series that was given, of the first duration after the change.
             */
            index: number;
            /** @description The stretch before, back to the change before it. */
            before: components["schemas"]["Segment"];
            /** @description The stretch after, up to the next change. */
            after: components["schemas"]["Segment"];
            /**
             * Format: double
             * @description How many times as long it takes: the median of all quotients of a duration after and one before (the estimate of
             *     Hodges and Lehmann, for quotients; durations below a millisecond count as one).
             */
            ratio: number;
            /**
             * Format: double
             * @description The probability that a duration after is longer than one before, ties counted half (Vargha and Delaney's A): 0.5
             *     is no change, 1 is every one longer.
             */
            superiority: number;
            /**
             * Format: double
             * @description The p-value of the permutation test that found it.
             */
            p_value: number;
        };
        /** @description Tells what a client may do about a failed request. */
        ErrorCode: "malformed" | "invalid" | "unauthenticated" | "forbidden" | "not_found" | "expired" | "conflict" | "concurrency_forbidden" | "lease_lost" | "precondition_failed" | "too_large" | "idempotency_mismatch" | "idempotency_in_progress" | "quota_exceeded" | "method_not_allowed" | "unsupported_media_type" | "unavailable" | "storage_full" | "internal";
        /** @description An event. */
        Event: {
            /** @description From where on a stream can go on; only of what is numbered. */
            id?: string;
            /** @description What it says. */
            event: components["schemas"]["EventKind"];
            /** @description The namespace. */
            namespace: components["schemas"]["Namespace"];
            /**
             * Format: date-time
             * @description When it happened.
             */
            at: string;
            /** @description The run. */
            run?: components["schemas"]["RunId"];
            /** @description The test, or that of the run. */
            test?: components["schemas"]["TestId"];
            /** @description Its name. */
            test_name?: string;
            /** @description The state that the run is in since. */
            state?: components["schemas"]["RunState"];
            /** @description The result of the run, if it has ended. */
            result?: components["schemas"]["RunResult"];
            /**
             * Format: uint16
             * @description The attempt of the run; absent before the first.
             */
            attempt?: number;
            /** @description The runner. */
            runner?: components["schemas"]["RunnerId"];
            /** @description Its name. */
            runner_name?: string;
            /** @description The state that the runner is in since. */
            runner_state?: components["schemas"]["RunnerState"];
            /** @description Why the stream begins anew. */
            reason?: components["schemas"]["ResetReason"];
        };
        /** @description What an event says. */
        EventKind: "ready" | "reset" | "here" | "run.queued" | "run.leased" | "run.started" | "run.finished" | "run.cancelled" | "run.many" | "test.state_changed" | "test.flaky_changed" | "runner.state_changed" | "runner.lost" | "queue.changed";
        /** @description The beginning of a text. */
        Excerpt: {
            /** @description What is kept. */
            text: string;
            /**
             * Format: uint64
             * @description How many bytes of the report came behind it and are not kept.
             */
            cut_bytes?: number;
        };
        /** @description Why a run waits, what it does, or why it ended as it did. */
        Explanation: {
            /** @description The run. */
            run_id: components["schemas"]["RunId"];
            /** @description Its namespace. */
            namespace: components["schemas"]["Namespace"];
            /** @description The name of its test. */
            test_name: string;
            /** @description The labels that decide its placement. */
            labels: components["schemas"]["Labels"];
            /** @description Where it stands. */
            state: components["schemas"]["RunState"];
            /**
             * Format: date-time
             * @description The instant that the explanation holds for, by the database's clock.
             */
            as_of: string;
            /** @description All of it in a sentence. */
            summary: string;
            /** @description The reasons, the weightiest first. */
            reasons: components["schemas"]["Because"][];
            /** @description While it waits: since when, how long, and what keeps each runner from taking it. */
            waiting?: components["schemas"]["Waiting"];
            /** @description While a runner holds it: which, and since when. */
            lease?: components["schemas"]["LeaseStory"];
            /** @description How it ended. */
            result?: components["schemas"]["RunResult"];
            /** @description Why it ended so, where the result alone does not say it. */
            reason?: components["schemas"]["Reason"];
            /** @description A sentence about the end, from its runner or the server. */
            message?: string;
            /** @description What became of each attempt. */
            attempts: components["schemas"]["AttemptStory"][];
        };
        /** @description A case that failed. */
        FailedCase: {
            /** @description The case. */
            case_id: components["schemas"]["CaseId"];
            /** @description The parts of its identity. */
            key: components["schemas"]["CaseKey"];
        };
        /** @description A test that fails. */
        FailingTest: {
            /** @description The test. */
            test_id: components["schemas"]["TestId"];
            /** @description Its name. */
            name: string;
            /**
             * Format: date-time
             * @description Since when it fails: the end of the first run of those that failed one after another.
             */
            since: string;
            /** @description The latest run that failed. */
            run: components["schemas"]["RunId"];
            /** @description How that ended. */
            result: components["schemas"]["RunResult"];
            /**
             * Format: uint64
             * @description In how many cells it fails.
             */
            cells: number;
        };
        /** @description Failures that are the same. */
        FailureGroup: {
            /** @description Their fingerprint: 32 hexadecimal digits. */
            fingerprint: string;
            /** @description What the newest of them says. */
            message: string;
            /** @description The cases that failed so, at most 10; none when runs without failed cases did. */
            cases: components["schemas"]["FailedCase"][];
            /**
             * Format: uint64
             * @description How many cases failed so.
             */
            case_count: number;
            /** @description The cells of the matrix in which it was seen. */
            cells: components["schemas"]["Labels"][];
            /**
             * Format: uint64
             * @description How many runs failed so.
             */
            runs: number;
            /**
             * Format: uint64
             * @description How many failures there are.
             */
            occurrences: number;
            /** @description The first run of them. */
            first_seen: components["schemas"]["Moment"];
            /** @description The last run of them. */
            last_seen: components["schemas"]["Moment"];
        };
        /** @description The failures of a test, grouped by what they say. */
        FailureGroups: {
            /**
             * Format: date-time
             * @description Failures since then are grouped.
             */
            since: string;
            /**
             * Format: uint64
             * @description How many failures were looked at: failed cases, and failed runs without one.
             */
            failures: number;
            /** @description There are more: the newest 5000 were looked at. */
            more_failures: boolean;
            /** @description The groups, that which was seen last first, at most 200. */
            groups: components["schemas"]["FailureGroup"][];
            /**
             * Format: uint64
             * @description How many more groups there are.
             */
            more_groups: number;
        };
        /** @description One field that an apply changes. */
        FieldChange: {
            /** @description A JSON pointer into the test. */
            pointer: string;
            /** @description The value before; absent where there was none. */
            before?: unknown;
            /** @description The value after; absent where there is none. */
            after?: unknown;
        };
        /** @description One fault of one field of an input. */
        FieldError: {
            /** @description Where: a JSON pointer (RFC 6901) into the body, for instance `/run_config/timeout`, or the name of a parameter. */
            pointer: string;
            /** @description What is wrong with it. */
            detail: string;
        };
        /** @description What is told of runs together. */
        Figures: {
            /** @description How many ended how. */
            counts: components["schemas"]["RunCounts"];
            /** @description How long they waited for a runner the first time; absent where none was ever leased. */
            wait?: components["schemas"]["Spread"];
            /** @description How long their last containers ran; absent where none was started. */
            duration?: components["schemas"]["Spread"];
        };
        /** @description What became of a file. */
        FileChange: "added" | "removed" | "changed";
        /** @description What a file holds. */
        FileContent: {
            /**
             * Format: uint64
             * @description How many bytes.
             */
            bytes: number;
            /** @description The SHA-256 of them. */
            sha256: string;
        };
        /** @description One reason why an attempt failed or was skipped. */
        Finding: {
            /** @description Whether it is a failure, an error, or the reason for a skip. */
            status: components["schemas"]["CaseStatus"];
            /** @description The message. */
            message?: string;
            /** @description The type, such as the class of an exception. */
            kind?: string;
            /** @description The text, such as a stack trace. */
            text?: components["schemas"]["Excerpt"];
        };
        /** @description A test that is flaky. */
        FlakyTest: {
            /** @description The test. */
            test_id: components["schemas"]["TestId"];
            /** @description Its name. */
            name: string;
            /**
             * Format: date-time
             * @description Since when.
             */
            since?: string;
            /**
             * Format: uint64
             * @description In how many cells.
             */
            cells: number;
        };
        /** @description Who executes. */
        FleetVerdict: {
            /**
             * Format: uint64
             * @description How many runners serve the namespace.
             */
            total: number;
            /**
             * Format: uint64
             * @description How many of them are there, also those that drain.
             */
            online: number;
            /**
             * Format: uint64
             * @description How many of these take nothing new.
             */
            draining: number;
            /**
             * Format: uint64
             * @description How many runs those that are there can execute at once.
             */
            slots: number;
            /**
             * Format: uint64
             * @description How many they execute.
             */
            slots_used: number;
        };
        /** @description A format of test reports. */
        Format: "junit" | "ctrf" | "tap" | "json_lines";
        /** @description A case of a grid: one of its rows. */
        GridCase: {
            /** @description The case. */
            case_id: components["schemas"]["CaseId"];
            /** @description The parts of its identity. */
            key: components["schemas"]["CaseKey"];
            /**
             * @description How it ended in each of the runs, a letter for each, in their order: `p` pass, `r` pass after an attempt that failed,
             *     `f` fail, `e` error, `m` a failure that did not count, `s` skipped, `.` not in this run.
             */
            strip: string;
            /** @description Where it stands: the worst of the cells of these runs. Absent while no run that has it was looked at. */
            standing?: components["schemas"]["Standing"];
            /** @description Healthy, flaky or broken: the worst of these cells. */
            status: components["schemas"]["Status"];
            /**
             * Format: date-time
             * @description When a run ended that it failed in last.
             */
            last_failed_at?: string;
            /**
             * Format: uint64
             * @description How long it took when it was executed last, in milliseconds: the longest of these cells.
             */
            duration_ms?: number;
        };
        /** @description A run of a grid: one of its columns. */
        GridRun: {
            /** @description The run. */
            run_id: components["schemas"]["RunId"];
            /** @description Its cell. */
            cell?: components["schemas"]["Labels"];
            /**
             * Format: uint16
             * @description The attempt that counts.
             */
            attempt: number;
            /**
             * Format: date-time
             * @description When it ended.
             */
            finished_at: string;
            /** @description How it ended. */
            result: components["schemas"]["RunResult"];
            /** @description It passed after an attempt that failed. */
            flaky: boolean;
        };
        /** @description The health of the server. */
        Health: {
            /** @description How it is. */
            status: components["schemas"]["HealthStatus"];
            /** @description What was looked at; with `verbose` only. */
            checks?: components["schemas"]["Check"][];
        };
        /** @description Whether something is in order. */
        HealthStatus: "ok";
        /** @description A stretch of changes and the equal lines around them. */
        Hunk: {
            /**
             * Format: uint32
             * @description The number of its first line in the log before, from 1.
             */
            before_line: number;
            /**
             * Format: uint32
             * @description The number of its first line in the log after, from 1.
             */
            after_line: number;
            /** @description The lines. */
            lines: components["schemas"]["DiffLine"][];
        };
        /** @description Who a caller is. */
        Identity: {
            /** @description The token that was used. */
            token: components["schemas"]["Token"];
            /** @description The namespaces it sees now. */
            namespaces: string[];
        };
        /** @description The length of the intervals of a summary; they begin in UTC. */
        Interval: "hour" | "day" | "week";
        /** @description A new token with its secret, which is shown this once. */
        IssuedToken: {
            /** @description The secret, to be sent as `Authorization: Bearer …`. */
            token: string;
            /** @description The record. */
            record: components["schemas"]["Token"];
        };
        /** @description A request to pin a run. */
        KeepRun: {
            /** @description What it is kept for, at most 500 characters; without it an earlier note stays. */
            note?: string | null;
        };
        /** @description That a run was pinned: retention leaves it alone. */
        Kept: {
            /**
             * Format: date-time
             * @description When it was pinned.
             */
            at: string;
            /** @description Who pinned it: `token:<id>`. */
            by: string;
            /** @description What it is kept for. */
            note?: string;
        };
        /** @description Which labels of the matrix carry the failures. */
        LabelAnalysis: {
            /**
             * Format: uint64
             * @description How many runs say nothing of the test and are left out: cancelled, ended by the infrastructure, or failed on a runner
             *     whose control failed.
             */
            left_out: number;
            /**
             * Format: uint64
             * @description On either side of a comparison there must be so many runs.
             */
            min_sample: number;
            /** @description What is known of each value; `trials` are the runs that were counted, at most the newest 5000. */
            report: components["schemas"]["LabelReport"];
            /** @description That in a sentence. */
            sentence: string;
        };
        /** @description What is known of a value, or of a pair of values. */
        LabelFinding: {
            /** @description The value, or the two of a pair. */
            labels: components["schemas"]["LabelValue"][];
            /** @description Other values that are in exactly the same cells and cannot be told apart from it. */
            same_cells: components["schemas"]["LabelValue"][];
            /**
             * Format: uint32
             * @description In how many cells it is.
             */
            cells: number;
            /** @description The counts with it and without it. */
            table: components["schemas"]["Table"];
            /**
             * Format: double
             * @description The share of failures with it less the share without it; absent when one of the two is empty.
             */
            difference: number | null;
            /** @description The interval of the difference. */
            interval: components["schemas"]["ConfidenceInterval"];
            /**
             * Format: double
             * @description The level of the interval, 0 to 1.
             */
            level: number;
            /**
             * Format: double
             * @description The p-value; absent below the minimum sample. That of a pair is the larger of its two tests.
             */
            p_value: number | null;
            /**
             * Format: double
             * @description The p-value, corrected for the number of values that were tested.
             */
            adjusted_p_value: number | null;
            /** @description What can be claimed. */
            claim: components["schemas"]["Claim"];
            /**
             * Format: uint
             * @description Index, among the pairs, of one that explains it: without the cells of that pair no difference is left.
             */
            through: number | null;
        };
        /** @description What is known of all values. */
        LabelReport: {
            /** @description Single values: those that carry failures first, by the size of the difference. */
            values: components["schemas"]["LabelFinding"][];
            /** @description Pairs that carry failures beyond their two values. */
            pairs: components["schemas"]["LabelFinding"][];
            /**
             * Format: uint64
             * @description How many trials there are.
             */
            trials: number;
            /**
             * Format: uint64
             * @description How many of them failed.
             */
            failed: number;
            /**
             * Format: uint32
             * @description How many values were tested; the correction is for these.
             */
            tested: number;
            /**
             * Format: uint32
             * @description How many pairs were tested; the correction of pairs is for these.
             */
            pairs_tested: number;
        };
        /** @description A label. */
        LabelValue: {
            /** @description The key. */
            key: string;
            /** @description The value. */
            value: string;
        };
        /** @description Keys and values; the order is that of the keys. */
        Labels: {
            [key: string]: string;
        };
        /** @description What is known of the lease of a run. */
        LeaseStory: {
            /** @description The runner that holds it. */
            runner_id: components["schemas"]["RunnerId"];
            /** @description That runner's name. */
            runner_name: string;
            /**
             * Format: uint16
             * @description The number of the attempt.
             */
            attempt: number;
            /**
             * Format: date-time
             * @description When it was given.
             */
            leased_at: string;
            /**
             * Format: date-time
             * @description When the container was permitted to start.
             */
            started_at?: string;
            /**
             * Format: date-time
             * @description When it runs out, unless its runner sends a heartbeat before.
             */
            expires_at: string;
            /**
             * Format: date-time
             * @description When the server ends the run if its runner has not reported by then.
             */
            hard_deadline?: string;
            /**
             * Format: date-time
             * @description When cancelling was asked for.
             */
            cancel_requested_at?: string;
        };
        /** @description One instant of a schedule, or a stretch of those that were missed or passed while the test was paused. */
        LedgerEntry: {
            /**
             * Format: date-time
             * @description The instant; of a stretch the first.
             */
            scheduled_for: string;
            /** @description What became of it. */
            outcome: components["schemas"]["LedgerOutcome"];
            /** @description Why, unless it ran. */
            reason?: components["schemas"]["LedgerReason"];
            /**
             * Format: int64
             * @description How late it was looked at, in milliseconds; of what was missed or paused nothing.
             */
            late_ms?: number;
            /** @description Names the runs that it made. */
            matrix_id?: components["schemas"]["MatrixId"];
            /**
             * Format: uint32
             * @description How many runs it made.
             */
            runs: number;
            /**
             * Format: date-time
             * @description The last instant of a stretch: of more than 100 instants that were missed, or passed while the test was paused,
             *     the older ones stand in one entry.
             */
            until?: string;
            /**
             * Format: uint32
             * @description How many instants the entry stands for; of a very long stretch at least.
             */
            instants: number;
            /**
             * Format: date-time
             * @description When it was written.
             */
            noted_at: string;
        };
        /** @description One page of a list. */
        LedgerEntryPage: {
            /** @description The items; there may be fewer than were asked for. */
            items: components["schemas"]["LedgerEntry"][];
            /** @description Pass it as `page_token` to get the next page; absent at the end. */
            next_page_token?: string;
        };
        /** @description What became of an instant of a schedule. */
        LedgerOutcome: "ran" | "skipped" | "missed";
        /** @description Why an instant did not run. */
        LedgerReason: "concurrency" | "quota" | "storage_full" | "paused" | "unreadable" | "deadline" | "catch_up";
        /** @description How much is kept of a run. */
        Limits: {
            /**
             * @description The log of one attempt, both streams together; up to 1GiB.
             * @default 64MiB
             */
            log: components["schemas"]["Size"];
            /**
             * @description The files of one attempt together; up to 256MiB. With 0 none are kept.
             * @default 256MiB
             */
            artifacts: components["schemas"]["Size"];
        };
        /** @description How much is kept of a run. */
        LimitsInput: {
            /**
             * @description The log of one attempt, both streams together; up to 1GiB.
             * @default 64MiB
             */
            log?: components["schemas"]["Size"];
            /**
             * @description The files of one attempt together; up to 256MiB. With 0 none are kept.
             * @default 256MiB
             */
            artifacts?: components["schemas"]["Size"];
        };
        /** @description What became of a line. */
        LineChange: "same" | "removed" | "added";
        /** @description How two standard outputs differ. */
        LogComparison: {
            /** @description The changes, in order. */
            hunks: components["schemas"]["Hunk"][];
            /**
             * Format: uint32
             * @description Lines in both logs.
             */
            same: number;
            /**
             * Format: uint32
             * @description Lines only in the log before.
             */
            removed: number;
            /**
             * Format: uint32
             * @description Lines only in the log after.
             */
            added: number;
            /**
             * Format: uint32
             * @description Lines of the log before that were not compared.
             */
            before_cut: number;
            /**
             * Format: uint32
             * @description Lines of the log after that were not compared.
             */
            after_cut: number;
            /**
             * Format: uint32
             * @description Lines of hunks that are not shown.
             */
            hidden: number;
            /**
             * Format: uint64
             * @description So many bytes at the beginning of the one were not compared: the last 2 MiB are.
             */
            before_skipped_bytes: number;
            /**
             * Format: uint64
             * @description The same of the other.
             */
            after_skipped_bytes: number;
        };
        /** @description Where bytes were taken out of a stream because its log passed the limit. */
        LogCut: {
            /** @description The stream. */
            stream: components["schemas"]["Stream"];
            /**
             * Format: uint64
             * @description How many bytes of the stream come before the cut.
             */
            offset: number;
            /**
             * Format: uint64
             * @description How many bytes of the stream were taken out.
             */
            bytes: number;
        };
        /** @description A piece of a log as it is answered. Bytes that are not UTF-8 stand in `data_base64`. */
        LogEntry: {
            /**
             * Format: uint32
             * @description The entry's number within its attempt; pass it as `after` to go on behind it.
             */
            seq: number;
            /**
             * Format: date-time
             * @description When the worker read it.
             */
            time: string;
            /** @description The stream it belongs to. */
            stream: components["schemas"]["Stream"];
            /**
             * Format: uint64
             * @description So many bytes of the stream right before this entry were taken out, because the log passed its limit.
             */
            cut_bytes?: number;
            /** @description The text, when it is UTF-8. */
            data?: string;
            /** @description The bytes in base64 (RFC 4648, with padding), when they are not UTF-8. */
            data_base64?: string;
        };
        /** @description Whether all that the container wrote is stored. */
        LogStatus: "open" | "complete" | "truncated" | "incomplete";
        /** @description What a run tells of its log. */
        LogSummary: {
            /** @description Whether all that the container wrote is stored. */
            status: components["schemas"]["LogStatus"];
            /**
             * Format: uint64
             * @description Bytes that are stored, of both streams.
             */
            bytes: number;
            /**
             * Format: uint64
             * @description Bytes that were written by the container and not stored.
             */
            dropped_bytes: number;
            /**
             * Format: date-time
             * @description When retention removed the bytes that had been stored; absent while they can be read.
             */
            removed_at?: string;
            /** @description Where bytes were taken out for the limit, at most once in each stream; known when the attempt has ended. */
            cuts?: components["schemas"]["LogCut"][];
            /** @description What is wrong with the log, when it is not only that bytes are missing. */
            message?: string;
        };
        /** @description A matrix as it is written in a test. */
        Matrix: {
            /**
             * @description Label key to the values it takes: a list, or an object with the list in `values`.
             * @default {}
             */
            labels: components["schemas"]["Axes"];
            /** @description Label sets to merge into combinations, or to add as combinations of their own. */
            include?: components["schemas"]["Labels"][];
            /** @description Label sets; combinations that hold all labels of one are left out. */
            exclude?: components["schemas"]["Labels"][];
            /**
             * Format: uint32
             * @description How many cells may be under way at once, from 1 to 256; all of them without it.
             */
            max_parallel?: number;
            /** @description The first cell that ends with `fail`, `error` or `timed_out` cancels the others that have not ended. */
            fail_fast?: boolean;
            /** @description Label sets; cells that hold all labels of one may fail without failing the matrix. */
            soft_fail?: components["schemas"]["Labels"][];
        };
        /**
         * Format: uuid
         * @description Names the set of runs that one trigger or one scheduled instant created.
         */
        MatrixId: string;
        /** @description A matrix as it is written in a test. */
        MatrixInput: {
            /**
             * @description Label key to the values it takes: a list, or an object with the list in `values`.
             * @default {}
             */
            labels?: components["schemas"]["AxesInput"];
            /** @description Label sets to merge into combinations, or to add as combinations of their own. */
            include?: components["schemas"]["Labels"][];
            /** @description Label sets; combinations that hold all labels of one are left out. */
            exclude?: components["schemas"]["Labels"][];
            /**
             * Format: uint32
             * @description How many cells may be under way at once, from 1 to 256; all of them without it.
             */
            max_parallel?: number | null;
            /** @description The first cell that ends with `fail`, `error` or `timed_out` cancels the others that have not ended. */
            fail_fast?: boolean;
            /** @description Label sets; cells that hold all labels of one may fail without failing the matrix. */
            soft_fail?: components["schemas"]["Labels"][];
        };
        /** @description A number that an attempt measured. */
        Metric: {
            /** @description What was measured. */
            measurement: string;
            /**
             * @description Which of them: part of the number's identity from run to run.
             * @default {}
             */
            tags: {
                [key: string]: string;
            };
            /** @description Which number of the measurement. */
            field: string;
            /**
             * Format: double
             * @description The number: the sum of all lines that name it.
             */
            value: number;
        };
        /** @description A number that was measured, in both. */
        MetricChange: {
            /** @description What was measured. */
            measurement: string;
            /** @description Which of them. */
            tags: {
                [key: string]: string;
            };
            /** @description Which number of the measurement. */
            field: string;
            /**
             * Format: double
             * @description Its value in the one; absent when it is not there.
             */
            before?: number;
            /**
             * Format: double
             * @description Its value in the other; absent when it is not there.
             */
            after?: number;
            /**
             * Format: double
             * @description The other less the one.
             */
            delta?: number;
            /**
             * Format: double
             * @description The other divided by the one; absent when that is 0.
             */
            ratio?: number;
        };
        /** @description What quarantine does with a case. */
        Mode: "mute" | "skip";
        /** @description A run in the order of its cell's history: by its end, then by its id. */
        Moment: {
            /**
             * Format: date-time
             * @description When the run ended.
             */
            at: string;
            /** @description The run. */
            run_id: components["schemas"]["RunId"];
        };
        /** @description How an evaluation changed a monitor. */
        MonitorChange: "activated" | "resolved";
        /** @description The figures that a monitor decided by. */
        MonitorFigures: {
            /**
             * Format: uint32
             * @description Trials that it looked at.
             */
            trials: number;
            /**
             * Format: uint32
             * @description How many of them passed.
             */
            passes: number;
            /**
             * Format: uint32
             * @description How many of them failed.
             */
            failures: number;
            /**
             * Format: uint32
             * @description How often a pass was followed by a failure.
             */
            transitions: number;
            /**
             * Format: uint32
             * @description Signals: passing retries, or contradictions about one subject.
             */
            signals: number;
            /**
             * Format: uint32
             * @description Clean passes since the latest signal.
             */
            clean: number;
            /**
             * Format: uint32
             * @description Trials that the guard kept out.
             */
            excluded: number;
            /**
             * Format: uint32
             * @description Failures that a break or the subject explains and that were therefore kept out of rates and transitions.
             */
            explained: number;
            /**
             * Format: double
             * @description What is compared with the thresholds: a rate, a score, failures in a row, or clean passes since the latest signal.
             */
            value: number;
            /**
             * Format: double
             * @description The value from which it activates.
             */
            activate: number;
            /**
             * Format: double
             * @description The value at which it resolves.
             */
            resolve: number;
        };
        /** @description What a monitor says after an evaluation, and why. */
        MonitorFinding: {
            /** @description The monitor's name. */
            monitor: string;
            /** @description The status that it gives while it is active. */
            marks: components["schemas"]["Status"];
            /** @description It only labels: its status has no consequences. */
            dry_run: boolean;
            /** @description What is kept until the next evaluation. */
            state: components["schemas"]["MonitorState"];
            /** @description How the evaluation changed it. */
            change?: components["schemas"]["MonitorChange"];
            /** @description Why it resolved, when it just did. */
            resolution?: components["schemas"]["Resolution"];
            /** @description The figures. */
            figures: components["schemas"]["MonitorFigures"];
            /** @description The runs that speak for it, the newest first, at most [`MAX_RUNS`]. */
            runs: components["schemas"]["RunId"][];
        };
        /** @description What is kept of a monitor between evaluations. */
        MonitorState: {
            /** @description The monitor's name. */
            monitor: string;
            /** @description Whether it is active. */
            active: boolean;
            /**
             * Format: date-time
             * @description Since when it is, or is not.
             */
            since: string;
            /**
             * Format: date-time
             * @description When the latest signal came, for the monitors that wait for signals.
             */
            last_signal_at?: string;
        };
        /** @description The name of a namespace: lowercase letters, digits and inner hyphens, 1 to 63 characters. */
        Namespace: string;
        /** @description A namespace with its quotas, how long it keeps things, and what it holds. */
        NamespaceInfo: {
            /** @description The name. */
            name: components["schemas"]["Namespace"];
            /**
             * Format: date-time
             * @description When it was created.
             */
            created_at: string;
            /** @description The quotas. */
            quotas: components["schemas"]["Quotas"];
            /**
             * @description How long its runs and their logs are kept.
             * @default {
             *       "runs_days": 90,
             *       "logs_days": 30
             *     }
             */
            retention: components["schemas"]["Retention"];
            /**
             * Format: int64
             * @description How many tests it has.
             */
            tests: number;
            /**
             * @description What it has stored.
             * @default {
             *       "runs": 0,
             *       "log_bytes": 0,
             *       "artifact_bytes": 0
             *     }
             */
            usage: components["schemas"]["Usage"];
        };
        /** @description One page of a list. */
        NamespaceInfoPage: {
            /** @description The items; there may be fewer than were asked for. */
            items: components["schemas"]["NamespaceInfo"][];
            /** @description Pass it as `page_token` to get the next page; absent at the end. */
            next_page_token?: string;
        };
        /** @description What changes in a namespace. */
        NamespacePatch: {
            /** @description The quotas that change. */
            quotas?: components["schemas"]["QuotasPatch"];
            /** @description How long things are kept, where that changes. */
            retention?: components["schemas"]["RetentionPatch"];
        };
        /** @description What a container may reach. */
        Network: "none" | "outbound";
        /** @description A request for a namespace. */
        NewNamespace: {
            /** @description The name. */
            name: components["schemas"]["Namespace"];
            /**
             * @description The quotas.
             * @default {
             *       "max_queued": 10000,
             *       "max_running": 50,
             *       "max_bytes": null
             *     }
             */
            quotas?: components["schemas"]["QuotasInput"];
            /**
             * @description How long its runs and their logs are kept.
             * @default {
             *       "runs_days": 90,
             *       "logs_days": 30
             *     }
             */
            retention?: components["schemas"]["RetentionInput"];
        };
        /** @description A test as it is registered. */
        NewTestDef: {
            /** @description Unique within the namespace: 1 to 128 letters, digits, `.`, `_`, `-`. */
            name: string;
            /**
             * @description Labels; they decide placement.
             * @default {}
             */
            labels?: components["schemas"]["Labels"];
            /**
             * @description Annotations; they only describe.
             * @default {}
             */
            annotations?: components["schemas"]["Labels"];
            /** @description What is executed. */
            run_config: components["schemas"]["RunConfigInput"];
            /** @description The label combinations that the test is fanned out over; without it there is one run. */
            matrix?: components["schemas"]["MatrixInput"] | null;
            /**
             * @description When it runs by itself: five fields of a crontab, or a word such as `@daily`. `L` is the last day of the month,
             *     `FRIL` its last Friday, `TUE#3` its third Tuesday. `H` stands for a value that the test's id decides.
             */
            cron_schedule?: string | null;
            /** @description The time zone of the schedule, a name of the IANA database; UTC without it. */
            time_zone?: string | null;
            /**
             * @description Which instants are made up for that were missed while no scheduler ran.
             * @default last
             */
            catch_up?: components["schemas"]["CatchUp"];
            /** @description A missed instant older than this is not made up for; without it the schedule's period, at most 1h. */
            start_deadline?: components["schemas"]["Duration"] | null;
            /**
             * @description How long a run may wait; after it, it ends with `queue_expired`. From 1s to 30d; without it 24h, and for
             *     scheduled runs the schedule's period.
             */
            queue_deadline?: components["schemas"]["Duration"] | null;
            /** @description How many runs may be under way at once. */
            concurrency?: components["schemas"]["ConcurrencyInput"] | null;
            /**
             * @description How often a run is tried again.
             * @default {
             *       "on_fail": 0,
             *       "on_infrastructure": 1
             *     }
             */
            retry?: components["schemas"]["RetryInput"];
            /**
             * @description How much is kept of a run.
             * @default {
             *       "log": "64MiB",
             *       "artifacts": "256MiB"
             *     }
             */
            limits?: components["schemas"]["LimitsInput"];
            /**
             * @description Which files are kept of a run.
             * @default {
             *       "paths": [],
             *       "report": "auto"
             *     }
             */
            artifacts?: components["schemas"]["ArtifactsInput"];
            /**
             * @description Never run again after a loss of the infrastructure.
             * @default false
             */
            at_most_once?: boolean;
            /**
             * @description Place among the waiting runs of the namespace.
             * @default normal
             */
            priority?: components["schemas"]["Priority"];
            /**
             * @description The schedule makes no runs; triggers still do.
             * @default false
             */
            paused?: boolean;
        };
        /** @description A request for a token. */
        NewToken: {
            /** @description What it is for, for people; 1 to 128 characters. */
            name: string;
            /** @description What it may do. */
            scopes: components["schemas"]["Scope"][];
            /** @description The namespaces it sees: anchored regular expressions, at most 16. */
            namespaces: string[];
            /**
             * @description How long it is valid, at most 365d.
             * @default 7776000s
             */
            expires_in?: components["schemas"]["Duration"];
        };
        /** @description Something about a report, and where. */
        Note: {
            /** @description What it is about. */
            code: components["schemas"]["NoteCode"];
            /** @description What was found, for people. */
            message: string;
            /**
             * Format: uint64
             * @description The line of the report, from 1.
             */
            line?: number;
            /**
             * Format: uint64
             * @description How many bytes of the report come before it.
             */
            byte?: number;
        };
        /** @description What a note is about. */
        NoteCode: "not_a_report" | "malformed" | "truncated" | "too_large" | "too_deep" | "too_many_cases" | "suite_failed" | "bail_out" | "plan_mismatch" | "unfinished" | "count_mismatch" | "bad_number" | "bad_status" | "no_name" | "cut" | "too_many" | "encoding" | "entity" | "doctype" | "bad_markup" | "ambiguous" | "ignored" | "todo";
        /** @description Why files were not kept. */
        NoteWhy: "not_a_file" | "bad_name" | "too_large" | "too_many" | "over_limit" | "duplicate" | "no_match" | "unreadable" | "out_of_time" | "no_room" | "not_stored";
        /** @description A number of both. */
        NumberChange: {
            /** @description What it counts. */
            name: string;
            /**
             * Format: double
             * @description Its value in the one; absent when it is not there.
             */
            before?: number;
            /**
             * Format: double
             * @description Its value in the other; absent when it is not there.
             */
            after?: number;
            /**
             * Format: double
             * @description The other less the one.
             */
            delta?: number;
            /**
             * Format: double
             * @description The other divided by the one; absent when that is 0.
             */
            ratio?: number;
        };
        /** @description A number over the runs. */
        NumberSeries: {
            /** @description Where its numbers come from. */
            source: components["schemas"]["SeriesSource"];
            /** @description The key of the result data, or the measurement. */
            name: string;
            /** @description Which number of the measurement. */
            field?: string;
            /** @description Which of them. */
            tags?: {
                [key: string]: string;
            };
            /** @description One for each run, in their order; null where the run has none. */
            values: (number | null)[];
        };
        /** @description Something about result data that the one who wrote the test should know. */
        OutputNote: {
            /** @description What it is about; absent while only one source is looked at. */
            source?: components["schemas"]["OutputSource"];
            /** @description What was found. */
            message: string;
            /**
             * Format: uint64
             * @description The line, from 1; absent where it says nothing, and for records.
             */
            line?: number;
        };
        /** @description Where something of what an attempt said about itself was found. */
        OutputSource: "output" | "metrics" | "summary" | "stdout" | "stderr";
        /** @description Which run is dropped when more would wait than may. */
        Overflow: "oldest" | "newest";
        /** @description A run's place among the waiting runs of its namespace. */
        Priority: "urgent" | "high" | "normal" | "low";
        /** @description How many runs of one priority wait. */
        PriorityDepth: {
            /** @description The priority. */
            priority: components["schemas"]["Priority"];
            /** @description How many runs could be taken now. */
            depth: components["schemas"]["Counted"];
            /**
             * Format: date-time
             * @description Since when the run that is next could be taken.
             */
            oldest: string;
        };
        /** @description The body of every failed answer: a problem document (RFC 9457). */
        Problem: {
            /** @description A stable address that names the kind of problem. */
            type: string;
            /** @description A short title, the same for every problem of this kind. */
            title: string;
            /**
             * Format: uint16
             * @description The HTTP status.
             */
            status: number;
            /** @description What happened this time. */
            detail: string;
            /** @description The path of the request. */
            instance?: string;
            /** @description The machine-readable word for the kind of problem. */
            code: components["schemas"]["ErrorCode"];
            /** @description The id under which the server's log knows this request. */
            trace_id?: string;
            /** @description The faults of the input, each with its place. */
            errors?: components["schemas"]["FieldError"][];
            /** @description Whether the same request may succeed later. */
            retryable: boolean;
        };
        /** @description A key and a value. */
        Property: {
            /** @description The key, as the report has it. */
            name: string;
            /** @description The value. */
            value: string;
        };
        /** @description When the image is pulled. */
        Pull: "missing" | "always" | "never";
        /** @description A request to put a case in quarantine; it replaces an entry that the case has. */
        PutQuarantine: {
            /**
             * @description What is done with it; `mute` unless said.
             * @default mute
             */
            mode?: components["schemas"]["Mode"];
            /** @description Who looks after it, at most 200 characters. */
            owner: string;
            /** @description Why it is in quarantine, at most 1000 characters. */
            reason: string;
            /**
             * Format: date-time
             * @description Until when (exclusive), at most 180 days ahead; or `days`.
             */
            until?: string | null;
            /**
             * Format: uint32
             * @description For how many days from now, 1 to 180; or `until`.
             */
            days?: number | null;
        };
        /** @description What a view shows. */
        PutView: {
            /** @description The page below the namespace, for instance `tests`; at most 64 letters, digits, `-` and `/`. */
            page: string;
            /**
             * @description The query of its address, without the question mark; at most 2048 bytes.
             * @default
             */
            query?: string;
            /**
             * @description Everybody who sees the namespace has it; else only the token that saves it.
             * @default false
             */
            shared?: boolean;
        };
        /** @description A case in quarantine, or one that was. */
        QuarantineEntry: {
            /** @description The case. */
            case_id: components["schemas"]["CaseId"];
            /** @description The parts of its identity. */
            key: components["schemas"]["CaseKey"];
            /** @description What is done with it. */
            mode: components["schemas"]["Mode"];
            /** @description Who looks after it. */
            owner: string;
            /** @description Why it is in quarantine. */
            reason: string;
            /**
             * Format: date-time
             * @description Since when.
             */
            from: string;
            /**
             * Format: date-time
             * @description Until when (exclusive).
             */
            until: string;
            /** @description Who put it there: `token:<id>`. */
            created_by: string;
            /** @description It holds now; an entry that has ended stays in the list until it is removed. */
            in_force: boolean;
        };
        /** @description One page of a list. */
        QuarantineEntryPage: {
            /** @description The items; there may be fewer than were asked for. */
            items: components["schemas"]["QuarantineEntry"][];
            /** @description Pass it as `page_token` to get the next page; absent at the end. */
            next_page_token?: string;
        };
        /** @description The waiting runs of a namespace that have the same labels, which is to say the same runners. */
        QueueClass: {
            /** @description The labels. */
            labels: components["schemas"]["Labels"];
            /** @description How many runs could be taken now, counted up to 1000 for each priority. */
            depth: components["schemas"]["Counted"];
            /** @description The same by priority, the most pressing first; those without a run are left out. */
            priorities: components["schemas"]["PriorityDepth"][];
            /**
             * Format: date-time
             * @description Since when the run that waits longest could be taken; absent when none can be.
             */
            oldest?: string;
            /** @description How many more runs wait for their time: put off, or between two attempts. */
            delayed: components["schemas"]["Counted"];
            /**
             * Format: date-time
             * @description When the next of these may be taken.
             */
            next_due?: string;
            /**
             * @description How many more runs wait behind a gate: for a slot of their concurrency group, their cell or their matrix.
             * @default {
             *       "count": 0,
             *       "more": false
             *     }
             */
            gated: components["schemas"]["Counted"];
            /**
             * Format: uint32
             * @description How many live runners take runs with these labels, full ones included.
             */
            live_runners: number;
            /**
             * Format: uint32
             * @description How many known runners, live or not, could.
             */
            known_runners: number;
            /** @description Why no live runner takes these runs; absent when one does. */
            stranded?: components["schemas"]["Because"];
        };
        /** @description One page of a list. */
        QueueClassPage: {
            /** @description The items; there may be fewer than were asked for. */
            items: components["schemas"]["QueueClass"][];
            /** @description Pass it as `page_token` to get the next page; absent at the end. */
            next_page_token?: string;
        };
        /** @description What waits. */
        QueueVerdict: {
            /** @description How many runs could be taken now. */
            depth: components["schemas"]["Counted"];
            /**
             * Format: date-time
             * @description Since when the first of them could be.
             */
            oldest?: string;
            /**
             * Format: uint64
             * @description How many runs are held by runners.
             */
            held: number;
            /**
             * Format: uint64
             * @description How many placement classes have runs that no runner takes.
             */
            stranded: number;
        };
        /** @description What a namespace may use. */
        Quotas: {
            /**
             * Format: int32
             * @description The most runs that wait at once; null for no limit.
             * @default 10000
             */
            max_queued: number | null;
            /**
             * Format: int32
             * @description The most runs that runners hold at once; null for no limit.
             * @default 50
             */
            max_running: number | null;
            /**
             * Format: int64
             * @description The most bytes of stored logs and artifacts with which new runs are made; null for no limit.
             * @default null
             */
            max_bytes: number | null;
        };
        /** @description What a namespace may use. */
        QuotasInput: {
            /**
             * Format: int32
             * @description The most runs that wait at once; null for no limit.
             * @default 10000
             */
            max_queued?: number | null;
            /**
             * Format: int32
             * @description The most runs that runners hold at once; null for no limit.
             * @default 50
             */
            max_running?: number | null;
            /**
             * Format: int64
             * @description The most bytes of stored logs and artifacts with which new runs are made; null for no limit.
             * @default null
             */
            max_bytes?: number | null;
        };
        /** @description The quotas that change; those that are left out stay. */
        QuotasPatch: {
            /**
             * Format: int32
             * @description The most runs that wait at once; null for no limit.
             */
            max_queued?: number | null;
            /**
             * Format: int32
             * @description The most runs that runners hold at once; null for no limit.
             */
            max_running?: number | null;
            /**
             * Format: int64
             * @description The most bytes of stored logs with which new runs are made; null for no limit.
             */
            max_bytes?: number | null;
        };
        /** @description A report that was read of an attempt. */
        ReadReport: {
            /** @description Its path among the artifacts, or the name that it was uploaded under. */
            path: string;
            /** @description Its format. */
            format: components["schemas"]["Format"];
            /** @description The name that it gives itself. */
            name?: string;
            /** @description The tool that wrote it, if it says so. */
            producer?: string;
            /**
             * Format: uint64
             * @description How long all of it took, in milliseconds, as it says.
             */
            duration_ms?: number;
            /** @description The counts that it declares. */
            declared: components["schemas"]["Declared"];
            /** @description The cases that were read. */
            counted: components["schemas"]["Counts"];
            /**
             * Format: uint64
             * @description Cases beyond the limit: counted, and not kept.
             */
            cases_over_limit?: number;
            /** @description It was read to its end, and nothing is wrong with it as a whole. */
            valid: boolean;
            /** @description What was wrong with it or is not kept of it, the first of each kind. */
            notes?: components["schemas"]["Note"][];
            /** @description How many notes there are of each kind, those that are not listed included. */
            note_counts?: {
                [key: string]: number;
            };
        };
        /** @description Why a run ended as it did, where the result alone does not say it; a closed list. */
        Reason: "image_not_found" | "start_failed" | "policy_rejected" | "oom_killed" | "runtime_lost" | "worker_crash" | "disk_full" | "lost_worker" | "never_started" | "server_backstop" | "queue_expired" | "report_invalid";
        /** @description From where on the sums are to be counted anew. */
        RebuildSummary: {
            /**
             * Format: date-time
             * @description From the hour of this instant on: the `next` of the answer before. From the first run on unless it is given.
             */
            from?: string | null;
        };
        /** @description What a call to rebuild the sums has done. */
        Rebuilt: {
            /**
             * Format: uint64
             * @description How many days were finished: those of which all runs are still there.
             */
            days: number;
            /**
             * Format: uint64
             * @description How many runs were counted.
             */
            runs: number;
            /**
             * Format: date-time
             * @description From where on to go on, with another call; absent when everything is done.
             */
            next?: string;
        };
        /** @description A test with what its registration has to say. */
        RegisteredTest: {
            /** @description Names the test; stays when it is renamed. */
            id: components["schemas"]["TestId"];
            /** @description The namespace it belongs to. */
            namespace: components["schemas"]["Namespace"];
            /**
             * Format: int32
             * @description Counts the changes of the test; its `ETag`.
             */
            version: number;
            /**
             * Format: date-time
             * @description When it was registered.
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it was last changed.
             */
            updated_at: string;
            /**
             * Format: date-time
             * @description The next instant of its schedule.
             */
            next_run_at?: string;
            /** @description Unique within the namespace: 1 to 128 letters, digits, `.`, `_`, `-`. */
            name: string;
            /**
             * @description Labels; they decide placement.
             * @default {}
             */
            labels: components["schemas"]["Labels"];
            /**
             * @description Annotations; they only describe.
             * @default {}
             */
            annotations: components["schemas"]["Labels"];
            /** @description What is executed. */
            run_config: components["schemas"]["RunConfig"];
            /** @description The label combinations that the test is fanned out over; without it there is one run. */
            matrix?: components["schemas"]["Matrix"];
            /**
             * @description When it runs by itself: five fields of a crontab, or a word such as `@daily`. `L` is the last day of the month,
             *     `FRIL` its last Friday, `TUE#3` its third Tuesday. `H` stands for a value that the test's id decides.
             */
            cron_schedule?: string;
            /** @description The time zone of the schedule, a name of the IANA database; UTC without it. */
            time_zone?: string;
            /**
             * @description Which instants are made up for that were missed while no scheduler ran.
             * @default last
             */
            catch_up: components["schemas"]["CatchUp"];
            /** @description A missed instant older than this is not made up for; without it the schedule's period, at most 1h. */
            start_deadline?: components["schemas"]["Duration"];
            /**
             * @description How long a run may wait; after it, it ends with `queue_expired`. From 1s to 30d; without it 24h, and for
             *     scheduled runs the schedule's period.
             */
            queue_deadline?: components["schemas"]["Duration"];
            /** @description How many runs may be under way at once. */
            concurrency?: components["schemas"]["Concurrency"];
            /**
             * @description How often a run is tried again.
             * @default {
             *       "on_fail": 0,
             *       "on_infrastructure": 1
             *     }
             */
            retry: components["schemas"]["Retry"];
            /**
             * @description How much is kept of a run.
             * @default {
             *       "log": "64MiB",
             *       "artifacts": "256MiB"
             *     }
             */
            limits: components["schemas"]["Limits"];
            /**
             * @description Which files are kept of a run.
             * @default {
             *       "paths": [],
             *       "report": "auto"
             *     }
             */
            artifacts: components["schemas"]["Artifacts"];
            /**
             * @description Never run again after a loss of the infrastructure.
             * @default false
             */
            at_most_once: boolean;
            /**
             * @description Place among the waiting runs of the namespace.
             * @default normal
             */
            priority: components["schemas"]["Priority"];
            /**
             * @description The schedule makes no runs; triggers still do.
             * @default false
             */
            paused: boolean;
            /**
             * @description What may not be as it was meant, for instance a cell that no known runner takes.
             * @default []
             */
            warnings: string[];
            /**
             * @description The next five instants at which it runs by itself; none while it is paused.
             * @default []
             */
            upcoming: components["schemas"]["Upcoming"][];
        };
        /** @description Whether a case's identity came before in the same report. */
        Repeat: "first" | "retry" | "ambiguous";
        /** @description Whether a test report is looked for among the files of a run. */
        ReportMode: "auto" | "required" | "none";
        /** @description Why a stream begins anew: everything that is shown has to be read again. */
        ResetReason: "unknown" | "too_old" | "too_many" | "too_slow" | "restored";
        /** @description Why a monitor resolved. */
        Resolution: "below" | "recovered" | "stale";
        /** @description What a container may use of its host. Where the engine cannot enforce one of these, the runner says so. */
        Resources: {
            /**
             * @description Memory, without swap; from 4MiB.
             * @default 512MiB
             */
            memory: components["schemas"]["Size"];
            /**
             * Format: double
             * @description Processor cores, from 0.01 to 1024.
             * @default 1
             */
            cpus: number;
            /**
             * Format: uint32
             * @description Processes and threads, from 1 to 65536.
             * @default 256
             */
            pids: number;
        };
        /** @description What a container may use of its host. Where the engine cannot enforce one of these, the runner says so. */
        ResourcesInput: {
            /**
             * @description Memory, without swap; from 4MiB.
             * @default 512MiB
             */
            memory?: components["schemas"]["Size"];
            /**
             * Format: double
             * @description Processor cores, from 0.01 to 1024.
             * @default 1
             */
            cpus?: number;
            /**
             * Format: uint32
             * @description Processes and threads, from 1 to 65536.
             * @default 256
             */
            pids?: number;
        };
        /** @description What the reports of an attempt say. */
        Results: {
            /**
             * Format: uint16
             * @description The attempt.
             */
            attempt: number;
            /** @description The reports, in the order of their paths. */
            reports: components["schemas"]["ReadReport"][];
            /** @description How many cases they have together; absent when no report was read. */
            cases?: components["schemas"]["CaseCounts"];
            /** @description Why the failure of the attempt is excused by its muted cases, or is not. */
            ruling?: components["schemas"]["Ruling"];
            /** @description Files that could be reports and were not read, and why. */
            unread?: components["schemas"]["UnreadReport"][];
            /** @description Only some cases were asked for: those that had failed. */
            partial?: boolean;
        };
        /** @description How long a namespace keeps its runs, in days after the day on which a run ended. Runs that are pinned stay. */
        Retention: {
            /**
             * Format: int32
             * @description Days after which a finished run is removed, with all that belongs to it.
             * @default 90
             */
            runs_days: number;
            /**
             * Format: int32
             * @description Days after which the log and the artifacts of a finished run are removed; at most `runs_days`.
             * @default 30
             */
            logs_days: number;
        };
        /** @description How long a namespace keeps its runs, in days after the day on which a run ended. Runs that are pinned stay. */
        RetentionInput: {
            /**
             * Format: int32
             * @description Days after which a finished run is removed, with all that belongs to it.
             * @default 90
             */
            runs_days?: number;
            /**
             * Format: int32
             * @description Days after which the log and the artifacts of a finished run are removed; at most `runs_days`.
             * @default 30
             */
            logs_days?: number;
        };
        /** @description The days that change; those that are left out stay. */
        RetentionPatch: {
            /**
             * Format: int32
             * @description Days after which a finished run is removed, with all that belongs to it.
             */
            runs_days?: number;
            /**
             * Format: int32
             * @description Days after which the log of a finished run is removed; at most `runs_days`.
             */
            logs_days?: number;
        };
        /** @description A run that was made like another. */
        Retried: {
            /** @description Names the run. */
            id: components["schemas"]["RunId"];
            /** @description The namespace of its test. */
            namespace: components["schemas"]["Namespace"];
            /** @description The test. */
            test_id: components["schemas"]["TestId"];
            /** @description The test's name when the run was made. */
            test_name: string;
            /** @description Names the set of runs that were made together. */
            matrix_id: components["schemas"]["MatrixId"];
            /** @description The cell of the matrix; empty without a matrix. */
            cell: components["schemas"]["Labels"];
            /** @description What decides placement: the test's labels, the cell's, the trigger's. */
            labels: components["schemas"]["Labels"];
            /** @description The test's annotations when the run was made. */
            annotations: components["schemas"]["Labels"];
            /** @description What is executed, as it was when the run was made. */
            run_config: components["schemas"]["RunConfig"];
            /** @description Where the run stands. */
            state: components["schemas"]["RunState"];
            /** @description How it ended; absent until then. */
            result?: components["schemas"]["RunResult"];
            /** @description Why it ended so, where the result alone does not say it. */
            reason?: components["schemas"]["Reason"];
            /** @description A sentence for people about the end. */
            message?: string;
            /**
             * Format: int32
             * @description The container's exit code.
             */
            exit_code?: number;
            /** @description It passed after an attempt that failed. */
            flaky: boolean;
            /** @description Cancelling was asked for; the runner has still to end the container. */
            cancel_requested: boolean;
            /**
             * Format: uint16
             * @description The number of the latest attempt; 0 before the first.
             */
            attempt: number;
            /** @description Every attempt so far. Lists leave this out. */
            attempts?: components["schemas"]["Attempt"][];
            /** @description The runner of the latest attempt. */
            runner_id?: components["schemas"]["RunnerId"];
            /** @description That runner's name. */
            runner_name?: string;
            /** @description The digest of the image that ran. */
            image_digest?: string;
            /** @description Its place among the waiting runs of the namespace. */
            priority: components["schemas"]["Priority"];
            /** @description What made it. */
            trigger: components["schemas"]["Trigger"];
            /**
             * Format: date-time
             * @description The instant it was made for: of the schedule, or of the trigger.
             */
            scheduled_at: string;
            /**
             * Format: date-time
             * @description When it was stored.
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When the latest lease was given.
             */
            leased_at?: string;
            /**
             * Format: date-time
             * @description When the container of the latest attempt was permitted to start.
             */
            started_at?: string;
            /**
             * Format: date-time
             * @description When it ended.
             */
            finished_at?: string;
            /** @description The log of the latest attempt. */
            log: components["schemas"]["LogSummary"];
            /**
             * @description The files that the latest attempt left behind.
             * @default {
             *       "files": 0,
             *       "bytes": 0
             *     }
             */
            artifacts: components["schemas"]["ArtifactSummary"];
            /** @description How many cases the reports of the latest attempt have; absent when no report was read. */
            cases?: components["schemas"]["CaseCounts"];
            /** @description The result data of the latest attempt: values under their keys. Lists leave this out. */
            result_data?: {
                [key: string]: unknown;
            };
            /** @description What of the latest attempt's result data, metrics and summary was not understood or not kept. Lists leave this out. */
            output_notes?: components["schemas"]["OutputNote"][];
            /** @description Who pinned it, and why; absent when retention may remove it. */
            kept?: components["schemas"]["Kept"];
            /** @description What is not as it was asked for, for instance that there are too many failed cases to be named. */
            warnings?: string[];
        };
        /** @description Runs that were made like others. */
        RetriedMatrix: {
            /** @description Names the set. */
            matrix_id: components["schemas"]["MatrixId"];
            /** @description The runs, one for each cell, in the order of the cells. */
            runs: components["schemas"]["Run"][];
            /** @description What is not as it was asked for, for instance that there are too many failed cases to be named. */
            warnings?: string[];
        };
        /** @description How often a run is tried again. */
        Retry: {
            /**
             * Format: uint8
             * @description Extra attempts after `fail` or `timed_out`, at most 10.
             * @default 0
             */
            on_fail: number;
            /**
             * Format: uint8
             * @description Extra attempts after a loss of the infrastructure, at most 4.
             * @default 1
             */
            on_infrastructure: number;
        };
        /** @description How often a run is tried again. */
        RetryInput: {
            /**
             * Format: uint8
             * @description Extra attempts after `fail` or `timed_out`, at most 10.
             * @default 0
             */
            on_fail?: number;
            /**
             * Format: uint8
             * @description Extra attempts after a loss of the infrastructure, at most 4.
             * @default 1
             */
            on_infrastructure?: number;
        };
        /** @description How runs that were made together are made again. */
        RetryMatrix: {
            /**
             * @description Only the cells whose latest run ended with `fail`, `error` or `timed_out`; with false all that have finished.
             * @default true
             */
            only_failed?: boolean;
            /**
             * @description Name the cases that failed to the containers, in `TSTR_FAILED_CASES`, so that they can run them alone.
             * @default false
             */
            failed_cases?: boolean;
        };
        /** @description How a run is made again. */
        RetryRun: {
            /**
             * @description Name the cases that failed to the container, in `TSTR_FAILED_CASES`, so that it can run them alone.
             * @default false
             */
            failed_cases?: boolean;
        };
        /** @description Why the failure of a run was excused, or was not. */
        Ruling: "excused" | "not_failed" | "not_by_cases" | "signalled" | "list_unknown" | "report_unread" | "report_cut" | "suite_error" | "no_case_failed" | "not_muted";
        /** @description One requested execution of one cell of a test. */
        Run: {
            /** @description Names the run. */
            id: components["schemas"]["RunId"];
            /** @description The namespace of its test. */
            namespace: components["schemas"]["Namespace"];
            /** @description The test. */
            test_id: components["schemas"]["TestId"];
            /** @description The test's name when the run was made. */
            test_name: string;
            /** @description Names the set of runs that were made together. */
            matrix_id: components["schemas"]["MatrixId"];
            /** @description The cell of the matrix; empty without a matrix. */
            cell: components["schemas"]["Labels"];
            /** @description What decides placement: the test's labels, the cell's, the trigger's. */
            labels: components["schemas"]["Labels"];
            /** @description The test's annotations when the run was made. */
            annotations: components["schemas"]["Labels"];
            /** @description What is executed, as it was when the run was made. */
            run_config: components["schemas"]["RunConfig"];
            /** @description Where the run stands. */
            state: components["schemas"]["RunState"];
            /** @description How it ended; absent until then. */
            result?: components["schemas"]["RunResult"];
            /** @description Why it ended so, where the result alone does not say it. */
            reason?: components["schemas"]["Reason"];
            /** @description A sentence for people about the end. */
            message?: string;
            /**
             * Format: int32
             * @description The container's exit code.
             */
            exit_code?: number;
            /** @description It passed after an attempt that failed. */
            flaky: boolean;
            /** @description Cancelling was asked for; the runner has still to end the container. */
            cancel_requested: boolean;
            /**
             * Format: uint16
             * @description The number of the latest attempt; 0 before the first.
             */
            attempt: number;
            /** @description Every attempt so far. Lists leave this out. */
            attempts?: components["schemas"]["Attempt"][];
            /** @description The runner of the latest attempt. */
            runner_id?: components["schemas"]["RunnerId"];
            /** @description That runner's name. */
            runner_name?: string;
            /** @description The digest of the image that ran. */
            image_digest?: string;
            /** @description Its place among the waiting runs of the namespace. */
            priority: components["schemas"]["Priority"];
            /** @description What made it. */
            trigger: components["schemas"]["Trigger"];
            /**
             * Format: date-time
             * @description The instant it was made for: of the schedule, or of the trigger.
             */
            scheduled_at: string;
            /**
             * Format: date-time
             * @description When it was stored.
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When the latest lease was given.
             */
            leased_at?: string;
            /**
             * Format: date-time
             * @description When the container of the latest attempt was permitted to start.
             */
            started_at?: string;
            /**
             * Format: date-time
             * @description When it ended.
             */
            finished_at?: string;
            /** @description The log of the latest attempt. */
            log: components["schemas"]["LogSummary"];
            /**
             * @description The files that the latest attempt left behind.
             * @default {
             *       "files": 0,
             *       "bytes": 0
             *     }
             */
            artifacts: components["schemas"]["ArtifactSummary"];
            /** @description How many cases the reports of the latest attempt have; absent when no report was read. */
            cases?: components["schemas"]["CaseCounts"];
            /** @description The result data of the latest attempt: values under their keys. Lists leave this out. */
            result_data?: {
                [key: string]: unknown;
            };
            /** @description What of the latest attempt's result data, metrics and summary was not understood or not kept. Lists leave this out. */
            output_notes?: components["schemas"]["OutputNote"][];
            /** @description Who pinned it, and why; absent when retention may remove it. */
            kept?: components["schemas"]["Kept"];
        };
        /** @description What a run changed among the cases of its cell. */
        RunChanges: {
            /** @description It is known; a run that has just ended is looked at within seconds. */
            told: boolean;
            /**
             * Format: uint64
             * @description How many cases are of each standing, those that pass left out.
             */
            new: number;
            /**
             * Format: uint64
             * @description Cases that failed before and still do.
             */
            still_failing: number;
            /**
             * Format: uint64
             * @description Cases that failed before and pass.
             */
            fixed: number;
            /**
             * Format: uint64
             * @description Cases that should be there and are not.
             */
            missing: number;
            /**
             * Format: uint64
             * @description Cases that are taken for removed with this run.
             */
            removed: number;
            /** @description The cases, at most 1000, the worst first. */
            items: components["schemas"]["CaseChange"][];
        };
        /** @description What a container runs with. */
        RunConfig: {
            /** @description The image reference. */
            container_image: string;
            /** @description Replaces the image's entrypoint: a list of arguments, or a string that is one argument. */
            command?: components["schemas"]["Command"];
            /** @description Arguments; they replace the image's own. */
            args?: string[];
            /** @description Environment variables. */
            env?: components["schemas"]["Labels"];
            /**
             * @description How long the container may run, from 1s to 24h.
             * @default 600s
             */
            timeout: components["schemas"]["Duration"];
            /**
             * @description How long the container may take to end after SIGTERM before SIGKILL, at most 300s.
             * @default 10s
             */
            grace: components["schemas"]["Duration"];
            /**
             * @description What the container may use.
             * @default {
             *       "memory": "512MiB",
             *       "cpus": 1,
             *       "pids": 256
             *     }
             */
            resources: components["schemas"]["Resources"];
            /**
             * @description What the container may reach.
             * @default none
             */
            network: components["schemas"]["Network"];
            /**
             * @description When the image is pulled.
             * @default missing
             */
            pull: components["schemas"]["Pull"];
        };
        /** @description What a container runs with. */
        RunConfigInput: {
            /** @description The image reference. */
            container_image: string;
            /** @description Replaces the image's entrypoint: a list of arguments, or a string that is one argument. */
            command?: components["schemas"]["CommandInput"];
            /** @description Arguments; they replace the image's own. */
            args?: string[];
            /** @description Environment variables. */
            env?: components["schemas"]["Labels"];
            /**
             * @description How long the container may run, from 1s to 24h.
             * @default 600s
             */
            timeout?: components["schemas"]["Duration"];
            /**
             * @description How long the container may take to end after SIGTERM before SIGKILL, at most 300s.
             * @default 10s
             */
            grace?: components["schemas"]["Duration"];
            /**
             * @description What the container may use.
             * @default {
             *       "memory": "512MiB",
             *       "cpus": 1,
             *       "pids": 256
             *     }
             */
            resources?: components["schemas"]["ResourcesInput"];
            /**
             * @description What the container may reach.
             * @default none
             */
            network?: components["schemas"]["Network"];
            /**
             * @description When the image is pulled.
             * @default missing
             */
            pull?: components["schemas"]["Pull"];
        };
        /** @description How many runs ended how. */
        RunCounts: {
            /**
             * Format: uint64
             * @description How many have finished.
             */
            runs: number;
            /**
             * Format: uint64
             * @description How many passed.
             */
            pass: number;
            /**
             * Format: uint64
             * @description How many failed.
             */
            fail: number;
            /**
             * Format: uint64
             * @description How many ended with an error of tstr or of the infrastructure.
             */
            error: number;
            /**
             * Format: uint64
             * @description How many took longer than their test allows.
             */
            timed_out: number;
            /**
             * Format: uint64
             * @description How many were cancelled.
             */
            cancelled: number;
            /**
             * Format: uint64
             * @description How many of those that passed did so after an attempt that failed.
             */
            flaky: number;
            /**
             * Format: uint64
             * @description How many attempts they had.
             */
            attempts: number;
        };
        /** @description One change of a run's state. */
        RunEvent: {
            /**
             * Format: int64
             * @description Orders the events of a run.
             */
            id: number;
            /**
             * Format: date-time
             * @description When, by the database's clock.
             */
            at: string;
            /** @description The state before; absent when the run was made. */
            from?: components["schemas"]["RunState"];
            /** @description The state after. */
            to: components["schemas"]["RunState"];
            /**
             * Format: uint16
             * @description The attempt it concerns; 0 before the first.
             */
            attempt: number;
            /** @description The result, on the last event. */
            result?: components["schemas"]["RunResult"];
            /** @description Why, where there is more to say. */
            reason?: components["schemas"]["Reason"];
            /** @description Who: `token:<id>`, `runner:<id>`, `scheduler` or `reaper`. */
            actor: string;
        };
        /** @description One page of a list. */
        RunEventPage: {
            /** @description The items; there may be fewer than were asked for. */
            items: components["schemas"]["RunEvent"][];
            /** @description Pass it as `page_token` to get the next page; absent at the end. */
            next_page_token?: string;
        };
        /**
         * Format: uuid
         * @description Names a run.
         */
        RunId: string;
        /** @description One page of a list. */
        RunPage: {
            /** @description The items; there may be fewer than were asked for. */
            items: components["schemas"]["Run"][];
            /** @description Pass it as `page_token` to get the next page; absent at the end. */
            next_page_token?: string;
        };
        /** @description How a run or an attempt ended. */
        RunResult: "pass" | "fail" | "error" | "timed_out" | "cancelled";
        /** @description Where a run stands. */
        RunState: "queued" | "leased" | "running" | "finished";
        /** @description A registered runner. */
        Runner: {
            /** @description Names the runner. */
            id: components["schemas"]["RunnerId"];
            /** @description Its name for people. */
            name: string;
            /** @description Whether it can be given runs. */
            state: components["schemas"]["RunnerState"];
            /** @description Somebody asked it to drain. */
            draining: boolean;
            /** @description Why it takes nothing new, by its last heartbeat; absent while it is fit. */
            unfit?: components["schemas"]["Unfit"];
            /** @description The namespaces whose runs it takes: the selectors of its token. */
            namespaces: string[];
            /** @description Labels that it takes. */
            accept: {
                [key: string]: string;
            };
            /** @description Labels that it refuses. */
            reject: {
                [key: string]: string;
            };
            /**
             * Format: uint16
             * @description How many runs it executes at once.
             */
            slots: number;
            /**
             * Format: uint16
             * @description How many runs it holds now.
             */
            slots_used: number;
            /** @description Versions and what its engine can enforce. */
            about: components["schemas"]["RunnerAbout"];
            /**
             * Format: date-time
             * @description When it registered last.
             */
            registered_at: string;
            /**
             * Format: date-time
             * @description When it was last heard of.
             */
            last_seen_at: string;
        };
        /** @description What a runner is made of. */
        RunnerAbout: {
            /**
             * @description The version of tstr.
             * @default
             */
            version: string;
            /**
             * @description The engine and its version, for instance `podman 4.3.1`.
             * @default
             */
            engine: string;
            /**
             * @description The operating system and architecture.
             * @default
             */
            platform: string;
            /**
             * @description Limits that the engine enforces, of `memory`, `cpus` and `pids`.
             * @default []
             */
            limits_enforced: string[];
            /** @description Why the other limits are not enforced. */
            limits_note?: string;
        };
        /**
         * Format: uuid
         * @description Names a runner; the worker behind it draws the id once and keeps it in its data directory.
         */
        RunnerId: string;
        /** @description One page of a list. */
        RunnerPage: {
            /** @description The items; there may be fewer than were asked for. */
            items: components["schemas"]["Runner"][];
            /** @description Pass it as `page_token` to get the next page; absent at the end. */
            next_page_token?: string;
        };
        /** @description Whether a runner can be given runs. */
        RunnerState: "live" | "draining" | "offline";
        /** @description What keeps one runner from taking a run. */
        RunnerVerdict: {
            /** @description The runner. */
            runner_id: components["schemas"]["RunnerId"];
            /** @description Its name. */
            runner_name: string;
            /** @description Whether it can be given runs. */
            state: components["schemas"]["RunnerState"];
            /** @description The first thing that keeps it from taking the run, as a word. */
            verdict: components["schemas"]["Verdict"];
            /** @description The same for people. */
            sentence: string;
            /** @description The label that does not fit. */
            key?: string;
            /** @description The value of that label. */
            value?: string;
            /** @description The pattern that rejects the label or does not accept it; absent where no selector is for its key. */
            pattern?: string;
            /**
             * Format: uint16
             * @description How many runs it holds now.
             */
            slots_used: number;
            /**
             * Format: uint16
             * @description How many runs it executes at once.
             */
            slots: number;
            /**
             * Format: date-time
             * @description When it was last heard of.
             */
            last_seen_at: string;
        };
        /** @description A saved view. */
        SavedView: {
            /** @description Its name: one among those that are shared, and one among those of the token. */
            name: string;
            /** @description The page below the namespace. */
            page: string;
            /** @description The query of its address. */
            query: string;
            /** @description Everybody who sees the namespace has it. */
            shared: boolean;
            /** @description Who saved it last. */
            saved_by: string;
            /**
             * Format: date-time
             * @description When.
             */
            saved_at: string;
        };
        /** @description The views that somebody has in a namespace: the shared ones and their own, by name. */
        SavedViews: {
            /** @description The views. */
            items: components["schemas"]["SavedView"][];
        };
        /** @description What a token may be used for. */
        Scope: "admin" | "control" | "data" | "runner";
        /** @description A stretch of the series in which nothing changed. */
        Segment: {
            /**
             * Format: uint32
             * @description How many durations it has.
             */
            count: number;
            /**
             * Format: double
             * @description Their median, in milliseconds.
             */
            median_ms: number;
        };
        /** @description A run in a series. */
        SeriesRun: {
            /** @description The run. */
            run_id: components["schemas"]["RunId"];
            /** @description Its cell. */
            cell?: components["schemas"]["Labels"];
            /**
             * Format: date-time
             * @description When it ended.
             */
            finished_at: string;
            /** @description How it ended. */
            result: components["schemas"]["RunResult"];
            /**
             * Format: uint64
             * @description How long its container ran, in milliseconds; absent where none was started.
             */
            duration_ms?: number;
        };
        /** @description Where the numbers of a series come from. */
        SeriesSource: "result_data" | "metric";
        /** @description A code that signs somebody in once, as the token that asked for it. It is shown this once. */
        SessionCode: {
            /** @description The code. */
            code: string;
            /**
             * Format: date-time
             * @description Until when it can be used.
             */
            expires_at: string;
            /** @description The link that signs in with it; absent where the server does not know where its web UI is. */
            link?: string;
        };
        /** @description With what somebody signs in: one of the two. */
        SignIn: {
            /** @description A token. */
            token?: string | null;
            /** @description A code from a sign-in link, which works once. */
            code?: string | null;
        };
        /** @description Since when something holds. */
        Since: {
            /** @description The first run of which it holds. */
            first: components["schemas"]["Moment"];
            /**
             * Format: uint32
             * @description In how many runs it was seen to hold, the first one included.
             */
            runs: number;
        };
        /**
         * @description A number of bytes such as 512Mi, 64MiB or 1GiB.
         * @example 64MiB
         */
        Size: string;
        /** @description A test that takes longer than it did. */
        SlowerTest: {
            /** @description The test. */
            test_id: components["schemas"]["TestId"];
            /** @description Its name. */
            name: string;
            /**
             * Format: uint64
             * @description What a run took on average in the last two days, in milliseconds.
             */
            mean_ms: number;
            /**
             * Format: uint64
             * @description And in the two weeks before.
             */
            before_ms: number;
            /**
             * Format: uint64
             * @description Of how many runs in the last two days.
             */
            runs: number;
        };
        /** @description How durations are spread. Quantiles are off by at most 1/64, and exact below 64 ms. */
        Spread: {
            /**
             * Format: uint64
             * @description How many there are.
             */
            count: number;
            /**
             * Format: uint64
             * @description Their mean, in milliseconds.
             */
            mean_ms: number;
            /**
             * Format: uint64
             * @description What half of them do not exceed, in milliseconds.
             */
            p50_ms: number;
            /**
             * Format: uint64
             * @description What 95 of 100 do not exceed, in milliseconds.
             */
            p95_ms: number;
        };
        /** @description Where a case stands after a run. */
        Standing: "new" | "still_failing" | "fixed" | "passing" | "skipped" | "missing" | "removed";
        /** @description What a test or a case is, the least severe first. */
        Status: "healthy" | "flaky" | "broken";
        /** @description A stream of a container. */
        Stream: "stdout" | "stderr";
        /** @description How the runs of a namespace went. */
        Summary: {
            /** @description How long the intervals are. */
            interval: components["schemas"]["Interval"];
            /**
             * Format: date-time
             * @description When the first interval begins.
             */
            from: string;
            /**
             * Format: date-time
             * @description When the last interval ends.
             */
            to: string;
            /**
             * Format: date-time
             * @description Runs that finished before this instant are counted.
             */
            as_of: string;
            /** @description No run that has finished is missing. */
            is_current: boolean;
            /** @description All runs of the whole time. */
            totals: components["schemas"]["Figures"];
            /** @description Every interval, the earliest first, those without a run as well. */
            intervals: components["schemas"]["SummaryInterval"][];
            /** @description The tests, those with most failures, errors and timeouts first; at most 100. */
            tests: components["schemas"]["SummaryTest"][];
            /**
             * Format: uint64
             * @description How many more tests have runs.
             */
            tests_more: number;
            /** @description The runners, the busiest first; at most 100. None where the summary is of one test. */
            runners: components["schemas"]["SummaryRunner"][];
            /**
             * Format: uint64
             * @description How many more runners have runs.
             */
            runners_more: number;
            /**
             * @description The label values, those with most failures, errors and timeouts first; at most 200. None where the summary is of one
             *     test.
             */
            labels: components["schemas"]["SummaryLabel"][];
            /**
             * Format: uint64
             * @description How many more label values have runs.
             */
            labels_more: number;
        };
        /** @description An interval of a summary. */
        SummaryInterval: {
            /**
             * Format: date-time
             * @description When it begins.
             */
            start: string;
            /** @description The runs that were scheduled in it. */
            figures: components["schemas"]["Figures"];
        };
        /** @description A label in a summary. */
        SummaryLabel: {
            /** @description The key. */
            key: string;
            /** @description The value. */
            value: string;
            /** @description The runs that have it. */
            counts: components["schemas"]["RunCounts"];
        };
        /** @description A runner in a summary. */
        SummaryRunner: {
            /** @description The runner. */
            runner_id: components["schemas"]["RunnerId"];
            /** @description Its name. */
            runner_name: string;
            /**
             * Format: uint16
             * @description How many runs it executes at once.
             */
            slots: number;
            /** @description The runs that ended on it. */
            counts: components["schemas"]["RunCounts"];
            /**
             * Format: uint64
             * @description How long runs of this namespace held its slots, all attempts counted, in milliseconds.
             */
            busy_ms: number;
            /**
             * Format: double
             * @description Which part of the time of all its slots that is, from the beginning of the summary to its end or to now.
             */
            utilisation: number;
        };
        /** @description A test in a summary. */
        SummaryTest: {
            /** @description The test. */
            test_id: components["schemas"]["TestId"];
            /** @description Its name now, or its last one where it was deleted. */
            test_name: string;
            /** @description Its runs. */
            figures: components["schemas"]["Figures"];
        };
        /** @description Two groups of trials and how many of each failed. */
        Table: {
            /**
             * Format: uint64
             * @description Failures in the group that is looked at.
             */
            failed_with: number;
            /**
             * Format: uint64
             * @description Passes in the group that is looked at.
             */
            passed_with: number;
            /**
             * Format: uint64
             * @description Failures outside of it.
             */
            failed_without: number;
            /**
             * Format: uint64
             * @description Passes outside of it.
             */
            passed_without: number;
        };
        /** @description What the recent runs of a test say of causes. */
        TestAnalysis: {
            /**
             * Format: date-time
             * @description Runs that ended since then are looked at.
             */
            since: string;
            /** @description Which labels carry the failures. */
            labels: components["schemas"]["LabelAnalysis"];
            /** @description Since when runs that pass take longer or shorter, cell by cell. */
            durations: components["schemas"]["CellDurations"][];
        };
        /** @description A test. */
        TestDef: {
            /** @description Names the test; stays when it is renamed. */
            id: components["schemas"]["TestId"];
            /** @description The namespace it belongs to. */
            namespace: components["schemas"]["Namespace"];
            /**
             * Format: int32
             * @description Counts the changes of the test; its `ETag`.
             */
            version: number;
            /**
             * Format: date-time
             * @description When it was registered.
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it was last changed.
             */
            updated_at: string;
            /**
             * Format: date-time
             * @description The next instant of its schedule.
             */
            next_run_at?: string;
            /** @description Unique within the namespace: 1 to 128 letters, digits, `.`, `_`, `-`. */
            name: string;
            /**
             * @description Labels; they decide placement.
             * @default {}
             */
            labels: components["schemas"]["Labels"];
            /**
             * @description Annotations; they only describe.
             * @default {}
             */
            annotations: components["schemas"]["Labels"];
            /** @description What is executed. */
            run_config: components["schemas"]["RunConfig"];
            /** @description The label combinations that the test is fanned out over; without it there is one run. */
            matrix?: components["schemas"]["Matrix"];
            /**
             * @description When it runs by itself: five fields of a crontab, or a word such as `@daily`. `L` is the last day of the month,
             *     `FRIL` its last Friday, `TUE#3` its third Tuesday. `H` stands for a value that the test's id decides.
             */
            cron_schedule?: string;
            /** @description The time zone of the schedule, a name of the IANA database; UTC without it. */
            time_zone?: string;
            /**
             * @description Which instants are made up for that were missed while no scheduler ran.
             * @default last
             */
            catch_up: components["schemas"]["CatchUp"];
            /** @description A missed instant older than this is not made up for; without it the schedule's period, at most 1h. */
            start_deadline?: components["schemas"]["Duration"];
            /**
             * @description How long a run may wait; after it, it ends with `queue_expired`. From 1s to 30d; without it 24h, and for
             *     scheduled runs the schedule's period.
             */
            queue_deadline?: components["schemas"]["Duration"];
            /** @description How many runs may be under way at once. */
            concurrency?: components["schemas"]["Concurrency"];
            /**
             * @description How often a run is tried again.
             * @default {
             *       "on_fail": 0,
             *       "on_infrastructure": 1
             *     }
             */
            retry: components["schemas"]["Retry"];
            /**
             * @description How much is kept of a run.
             * @default {
             *       "log": "64MiB",
             *       "artifacts": "256MiB"
             *     }
             */
            limits: components["schemas"]["Limits"];
            /**
             * @description Which files are kept of a run.
             * @default {
             *       "paths": [],
             *       "report": "auto"
             *     }
             */
            artifacts: components["schemas"]["Artifacts"];
            /**
             * @description Never run again after a loss of the infrastructure.
             * @default false
             */
            at_most_once: boolean;
            /**
             * @description Place among the waiting runs of the namespace.
             * @default normal
             */
            priority: components["schemas"]["Priority"];
            /**
             * @description The schedule makes no runs; triggers still do.
             * @default false
             */
            paused: boolean;
        };
        /** @description One page of a list. */
        TestDefPage: {
            /** @description The items; there may be fewer than were asked for. */
            items: components["schemas"]["TestDef"][];
            /** @description Pass it as `page_token` to get the next page; absent at the end. */
            next_page_token?: string;
        };
        /** @description The cases of a test over its latest runs. */
        TestGrid: {
            /** @description The test. */
            test_id: components["schemas"]["TestId"];
            /** @description Its latest runs, at most 60, the newest last. */
            runs: components["schemas"]["GridRun"][];
            /**
             * @description Its cases in the cells of these runs, at most 200: those first that failed in the latest run, then those that failed
             *     longer ago, then those that took longest, then by their names; at last those that are removed.
             */
            cases: components["schemas"]["GridCase"][];
            /** @description How many cases there are in these cells. */
            total: components["schemas"]["Counted"];
        };
        /**
         * Format: uuid
         * @description Names a test.
         */
        TestId: string;
        /** @description When a test runs by itself. */
        TestSchedule: {
            /** @description The schedule in words. */
            description: string;
            /** @description The time zone it is read in. */
            time_zone: string;
            /** @description The schedule makes no runs while the test is paused. */
            paused: boolean;
            /** @description The next instants. */
            upcoming: components["schemas"]["Upcoming"][];
        };
        /** @description The numbers of the latest runs of a test. */
        TestSeries: {
            /** @description The test. */
            test_id: components["schemas"]["TestId"];
            /** @description Its latest runs that have ended, the earliest first. */
            runs: components["schemas"]["SeriesRun"][];
            /** @description The numbers, by their names; at most 100. */
            series: components["schemas"]["NumberSeries"][];
            /**
             * Format: uint64
             * @description How many more there are.
             */
            more: number;
        };
        /** @description A test as it was registered. */
        TestSpec: {
            /** @description Unique within the namespace: 1 to 128 letters, digits, `.`, `_`, `-`. */
            name: string;
            /**
             * @description Labels; they decide placement.
             * @default {}
             */
            labels: components["schemas"]["Labels"];
            /**
             * @description Annotations; they only describe.
             * @default {}
             */
            annotations: components["schemas"]["Labels"];
            /** @description What is executed. */
            run_config: components["schemas"]["RunConfig"];
            /** @description The label combinations that the test is fanned out over; without it there is one run. */
            matrix?: components["schemas"]["Matrix"];
            /**
             * @description When it runs by itself: five fields of a crontab, or a word such as `@daily`. `L` is the last day of the month,
             *     `FRIL` its last Friday, `TUE#3` its third Tuesday. `H` stands for a value that the test's id decides.
             */
            cron_schedule?: string;
            /** @description The time zone of the schedule, a name of the IANA database; UTC without it. */
            time_zone?: string;
            /**
             * @description Which instants are made up for that were missed while no scheduler ran.
             * @default last
             */
            catch_up: components["schemas"]["CatchUp"];
            /** @description A missed instant older than this is not made up for; without it the schedule's period, at most 1h. */
            start_deadline?: components["schemas"]["Duration"];
            /**
             * @description How long a run may wait; after it, it ends with `queue_expired`. From 1s to 30d; without it 24h, and for
             *     scheduled runs the schedule's period.
             */
            queue_deadline?: components["schemas"]["Duration"];
            /** @description How many runs may be under way at once. */
            concurrency?: components["schemas"]["Concurrency"];
            /**
             * @description How often a run is tried again.
             * @default {
             *       "on_fail": 0,
             *       "on_infrastructure": 1
             *     }
             */
            retry: components["schemas"]["Retry"];
            /**
             * @description How much is kept of a run.
             * @default {
             *       "log": "64MiB",
             *       "artifacts": "256MiB"
             *     }
             */
            limits: components["schemas"]["Limits"];
            /**
             * @description Which files are kept of a run.
             * @default {
             *       "paths": [],
             *       "report": "auto"
             *     }
             */
            artifacts: components["schemas"]["Artifacts"];
            /**
             * @description Never run again after a loss of the infrastructure.
             * @default false
             */
            at_most_once: boolean;
            /**
             * @description Place among the waiting runs of the namespace.
             * @default normal
             */
            priority: components["schemas"]["Priority"];
            /**
             * @description The schedule makes no runs; triggers still do.
             * @default false
             */
            paused: boolean;
        };
        /** @description A test of a namespace, as its latest runs show it. */
        TestState: {
            /** @description The test. */
            test_id: components["schemas"]["TestId"];
            /** @description Its name. */
            name: string;
            /** @description That of its worst cell; one that was not executed for seven days before the last run of the test does not count. */
            status: components["schemas"]["Status"];
            /**
             * Format: date-time
             * @description When a run of it ended last.
             */
            last_at?: string;
            /** @description Its cells that have runs, without what the monitors say. */
            cells: components["schemas"]["CellStrip"][];
        };
        /** @description One page of a list. */
        TestStatePage: {
            /** @description The items; there may be fewer than were asked for. */
            items: components["schemas"]["TestState"][];
            /** @description Pass it as `page_token` to get the next page; absent at the end. */
            next_page_token?: string;
        };
        /** @description How many tests are how. */
        TestVerdicts: {
            /**
             * Format: uint64
             * @description How many tests there are.
             */
            total: number;
            /**
             * Format: uint64
             * @description In how many the latest run of a cell failed, errored or timed out.
             */
            failing: number;
            /**
             * Format: uint64
             * @description How many of these began to fail within the last 24 hours.
             */
            newly_failing: number;
            /**
             * Format: uint64
             * @description How many are flaky in a cell.
             */
            flaky: number;
            /**
             * Format: uint64
             * @description How many took longer in the last two days than in the two weeks before: half as long again, and by a second.
             */
            slower: number;
        };
        /** @description A test as it was from one change to the next. */
        TestVersion: {
            /**
             * Format: int32
             * @description Counts the changes of the test, as its `version` does. Versions that are not kept any more are missing.
             */
            version: number;
            /**
             * Format: date-time
             * @description When it became so.
             */
            changed_at: string;
            /** @description Who made it so: `token:<id>`; absent when that is not known. */
            changed_by?: string;
            /** @description The test as it was. Lists leave this out. */
            spec?: components["schemas"]["TestSpec"];
        };
        /** @description One page of a list. */
        TestVersionPage: {
            /** @description The items; there may be fewer than were asked for. */
            items: components["schemas"]["TestVersion"][];
            /** @description Pass it as `page_token` to get the next page; absent at the end. */
            next_page_token?: string;
        };
        /** @description When the tests of a namespace run by themselves. */
        Timetable: {
            /**
             * Format: date-time
             * @description From when on it is told: the beginning of an hour.
             */
            from: string;
            /**
             * Format: date-time
             * @description Until when, exclusively.
             */
            to: string;
            /** @description The tests with a schedule, by their names. */
            items: components["schemas"]["TimetableTest"][];
            /** @description How many instants of these tests lie in each hour; those that are paused left out. */
            by_hour: number[];
            /** @description How many lie in each minute of any hour, from 0 to 59: where many begin at once. */
            by_minute: number[];
            /** @description What to ask for to read on; absent at the end. Counts of pages add up. */
            next_page_token?: string;
        };
        /** @description A test that runs by itself. */
        TimetableTest: {
            /** @description The test. */
            test_id: components["schemas"]["TestId"];
            /** @description Its name. */
            name: string;
            /** @description Its line. */
            cron_schedule: string;
            /** @description The same in words. */
            description: string;
            /** @description The time zone it is read in. */
            time_zone: string;
            /** @description The schedule makes no runs while the test is paused; the instants are those that it would have. */
            paused: boolean;
            /**
             * Format: uint64
             * @description How many instants it has in this time.
             */
            count: number;
            /** @description The first of them, at most 100. */
            instants: string[];
        };
        /** @description What is known of a token; never the token itself. */
        Token: {
            /** @description Names the token. */
            id: components["schemas"]["TokenId"];
            /** @description What it is for. */
            name: string;
            /** @description What it may do. */
            scopes: components["schemas"]["Scope"][];
            /** @description The namespaces it sees. */
            namespaces: string[];
            /** @description The token that issued it; absent for the first one. */
            issued_by?: components["schemas"]["TokenId"];
            /**
             * Format: date-time
             * @description When it was issued.
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it ends.
             */
            expires_at: string;
            /**
             * Format: date-time
             * @description When it was revoked.
             */
            revoked_at?: string;
            /**
             * Format: date-time
             * @description When it was last used, to the minute.
             */
            last_used_at?: string;
        };
        /**
         * Format: uuid
         * @description Names a token; it is the `jti` claim of the token's JWT.
         */
        TokenId: string;
        /** @description One page of a list. */
        TokenPage: {
            /** @description The items; there may be fewer than were asked for. */
            items: components["schemas"]["Token"][];
            /** @description Pass it as `page_token` to get the next page; absent at the end. */
            next_page_token?: string;
        };
        /** @description What made a run. */
        Trigger: "schedule" | "manual" | "retry" | "upload";
        /** @description A request to run a test now. */
        TriggerRun: {
            /**
             * @description Labels that override those of the test and of the cell.
             * @default {}
             */
            labels?: components["schemas"]["Labels"];
            /**
             * @description Environment variables that override those of the test.
             * @default {}
             */
            env?: components["schemas"]["Labels"];
            /**
             * @description Only the cells that have all of these labels.
             * @default {}
             */
            matrix?: components["schemas"]["Labels"];
            /** @description Overrides the test's priority. */
            priority?: components["schemas"]["Priority"] | null;
            /**
             * Format: date-time
             * @description Not before this instant, at most a year ahead.
             */
            not_before?: string | null;
        };
        /** @description The runs that one trigger made. */
        Triggered: {
            /** @description Names the set. */
            matrix_id: components["schemas"]["MatrixId"];
            /** @description The runs, one for each cell, in the order of the cells. */
            runs: components["schemas"]["Run"][];
        };
        /** @description Why a runner that is live takes nothing new until that has passed. */
        Unfit: "disk_low" | "breaker";
        /** @description A file that could be a report and was not read. */
        UnreadReport: {
            /** @description Its path among the artifacts. */
            path: string;
            /** @description Why it was not read. */
            why: string;
        };
        /** @description An instant that is still to come, as people want to read it. */
        Upcoming: {
            /**
             * Format: date-time
             * @description The instant.
             */
            at: string;
            /** @description The instant in the schedule's time zone, RFC 3339. */
            local: string;
            /** @description What a jump of the wall clock does to this instant, in words. */
            note?: string;
        };
        /** @description What a namespace has stored. */
        Usage: {
            /**
             * Format: uint64
             * @description How many runs are stored, those that have not finished included.
             */
            runs: number;
            /**
             * Format: uint64
             * @description Bytes of the logs of attempts that have ended, of both streams.
             */
            log_bytes: number;
            /**
             * Format: uint64
             * @description Bytes of the artifacts of attempts that have ended; a content that several files have counts with each of them.
             * @default 0
             */
            artifact_bytes: number;
        };
        /** @description A value of a configuration that changed. */
        ValueChange: {
            /** @description Where it stands: a JSON pointer (RFC 6901). */
            pointer: string;
            /** @description What it was; absent when it was not there. */
            before?: unknown;
            /** @description What it is; absent when it is not there any more. */
            after?: unknown;
        };
        /** @description The first thing that keeps a runner from taking a run. */
        Verdict: "could_take" | "namespace" | "rejected" | "not_accepted" | "not_live" | "draining" | "disk_low" | "breaker" | "at_capacity";
        /** @description How many runners there are of one verdict. */
        VerdictCount: {
            /** @description The verdict. */
            verdict: components["schemas"]["Verdict"];
            /** @description The label that does not fit. */
            key?: string;
            /**
             * Format: uint32
             * @description How many runners.
             */
            runners: number;
        };
        /** @description The version of the server. */
        Version: {
            /** @description The version of tstr. */
            version: string;
            /** @description The version of this interface. */
            api: string;
            /** @description The release of the IANA time zone tables by which it reads schedules. */
            zone_tables: string;
        };
        /** @description What is known of a run that waits. */
        Waiting: {
            /**
             * Format: date-time
             * @description Since when: it was made, or its last attempt ended.
             */
            since: string;
            /**
             * Format: date-time
             * @description When it ends with `queue_expired` if nobody has taken it by then.
             */
            deadline?: string;
            /** @description How many runs with the same labels come before it; absent while it waits for its time. */
            ahead?: components["schemas"]["Counted"];
            /** @description How many of the runners that the caller sees there are of each verdict. */
            counts: components["schemas"]["VerdictCount"][];
            /** @description What keeps each runner from taking it; live ones first, at most 100. */
            runners: components["schemas"]["RunnerVerdict"][];
        };
        /** @description What changed between the last pass and the first failure after it. */
        WhatChanged: {
            /** @description The cell of the matrix; empty for a test without one. */
            cell: components["schemas"]["Labels"];
            /** @description The run that passed last. */
            last_pass: components["schemas"]["Moment"];
            /** @description The first run that failed after it. */
            first_fail: components["schemas"]["Moment"];
            /** @description What of the test and of its surroundings changed between them, in a sentence. */
            sentence: string;
            /** @description How the two runs differ. */
            comparison: components["schemas"]["Comparison"];
        };
        /** @description What keeps a run from being taken, or what it does instead. */
        Why: "not_before" | "backoff" | "concurrency" | "max_parallel" | "no_runner" | "no_runner_could" | "no_live_runner" | "namespace_cap" | "at_capacity" | "line" | "ready" | "preparing" | "executing" | "cancelling" | "lease_over" | "ended";
    };
    responses: {
        /** @description The request failed. */
        Problem: {
            headers: {
                /** @description With 401: `Bearer`. */
                "WWW-Authenticate"?: string;
                /** @description When repeating makes sense: after how many seconds. */
                "Retry-After"?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
    };
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    get_identity: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Who a caller is. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Identity"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    create_session: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SignIn"];
            };
        };
        responses: {
            /** @description Who a caller is. */
            200: {
                headers: {
                    /** @description The session's cookie: HttpOnly, SameSite=Lax, over https Secure. */
                    "Set-Cookie"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Identity"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    delete_session: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The cookie is taken away. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: components["responses"]["Problem"];
        };
    };
    preview_session: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SignIn"];
            };
        };
        responses: {
            /** @description Who a caller is. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Identity"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    create_session_code: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A code that signs somebody in once, as the token that asked for it. It is shown this once. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SessionCode"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    list_namespaces: {
        parameters: {
            query?: {
                /** @description How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered. */
                page_size?: number;
                /** @description The `next_page_token` of the page before. */
                page_token?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of a list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["NamespaceInfoPage"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    create_namespace: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Makes repeating safe: within 24 hours the same key with the same body gets the first answer again. A string in quotes (or bare), 1 to 255 visible ASCII characters.
                 * @example "8e03978e-40d5-43dd-bc93-6894a57f9324"
                 */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewNamespace"];
            };
        };
        responses: {
            /** @description A namespace with its quotas, how long it keeps things, and what it holds. */
            201: {
                headers: {
                    /** @description The path of what was created. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["NamespaceInfo"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_namespace: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A namespace with its quotas, how long it keeps things, and what it holds. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["NamespaceInfo"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    update_namespace: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NamespacePatch"];
            };
        };
        responses: {
            /** @description A namespace with its quotas, how long it keeps things, and what it holds. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["NamespaceInfo"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    list_tests: {
        parameters: {
            query?: {
                /** @description Tests with this text in their name. */
                q?: string;
                /** @description Tests that have this label: `key=value`. May be repeated; all must be there. */
                label?: string[];
                /** @description Tests that have this annotation: `key=value`. May be repeated; all must be there. */
                annotation?: string[];
                /** @description Tests whose schedule is paused, or is not. */
                paused?: boolean;
                /** @description How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered. */
                page_size?: number;
                /** @description The `next_page_token` of the page before. */
                page_token?: string;
            };
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of a list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TestDefPage"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    create_test: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Makes repeating safe: within 24 hours the same key with the same body gets the first answer again. A string in quotes (or bare), 1 to 255 visible ASCII characters.
                 * @example "8e03978e-40d5-43dd-bc93-6894a57f9324"
                 */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewTestDef"];
            };
        };
        responses: {
            /** @description A test with what its registration has to say. */
            201: {
                headers: {
                    /** @description The path of what was created. */
                    Location?: string;
                    /** @description The version of the test, for `If-Match`. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RegisteredTest"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_test: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A test. */
            200: {
                headers: {
                    /** @description The version of the test, for `If-Match`. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TestDef"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    apply_test: {
        parameters: {
            query?: {
                /** @description Answer what would change and change nothing. */
                dry_run?: boolean;
            };
            header?: {
                /**
                 * @description The `ETag` that was read; if the test has changed since, the answer is 412 and nothing is done.
                 * @example "3"
                 */
                "If-Match"?: string;
            };
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewTestDef"];
            };
        };
        responses: {
            /** @description The answer to an apply. */
            200: {
                headers: {
                    /** @description The version of the test, for `If-Match`. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Applied"];
                };
            };
            /** @description The answer to an apply. */
            201: {
                headers: {
                    /** @description The path of what was created. */
                    Location?: string;
                    /** @description The version of the test, for `If-Match`. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Applied"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    delete_test: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description The `ETag` that was read; if the test has changed since, the answer is 412 and nothing is done.
                 * @example "3"
                 */
                "If-Match"?: string;
            };
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description no content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: components["responses"]["Problem"];
        };
    };
    patch_test: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description The `ETag` that was read; if the test has changed since, the answer is 412 and nothing is done.
                 * @example "3"
                 */
                "If-Match"?: string;
            };
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/merge-patch+json": Record<string, never>;
                "application/json": Record<string, never>;
            };
        };
        responses: {
            /** @description A test with what its registration has to say. */
            200: {
                headers: {
                    /** @description The version of the test, for `If-Match`. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RegisteredTest"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    pause_test: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A test. */
            200: {
                headers: {
                    /** @description The version of the test, for `If-Match`. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TestDef"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    resume_test: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A test. */
            200: {
                headers: {
                    /** @description The version of the test, for `If-Match`. */
                    ETag?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TestDef"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_test_schedule: {
        parameters: {
            query?: {
                /** @description How many instants: 10 unless said, 100 at most. */
                count?: number;
            };
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description When a test runs by itself. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TestSchedule"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    list_ledger: {
        parameters: {
            query?: {
                /** @description How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered. */
                page_size?: number;
                /** @description The `next_page_token` of the page before. */
                page_token?: string;
            };
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of a list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LedgerEntryPage"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    list_test_versions: {
        parameters: {
            query?: {
                /** @description How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered. */
                page_size?: number;
                /** @description The `next_page_token` of the page before. */
                page_token?: string;
            };
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of a list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TestVersionPage"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_test_version: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
                /** @description The number of the version. */
                version: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A test as it was from one change to the next. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TestVersion"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_test_series: {
        parameters: {
            query?: {
                /** @description Runs of this cell: `key=value`. Repeated for each label of the cell. */
                cell?: string[];
                /** @description How many of the latest runs: 50 unless said, 200 at most; a larger wish is lowered. */
                runs?: number;
            };
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The numbers of the latest runs of a test. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TestSeries"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    list_views: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The views that somebody has in a namespace: the shared ones and their own, by name. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SavedViews"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    put_view: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The name of the view. */
                view: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PutView"];
            };
        };
        responses: {
            /** @description A saved view. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SavedView"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    delete_view: {
        parameters: {
            query?: {
                /** @description The one that is shared. */
                shared?: boolean;
            };
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The name of the view. */
                view: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description no content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: components["responses"]["Problem"];
        };
    };
    get_dashboard: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description How a namespace is. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Dashboard"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_timetable: {
        parameters: {
            query?: {
                /** @description From the hour of this instant on; now unless it is given. */
                from?: string;
                /** @description Until this instant, at most eight days later; seven days later unless it is given. */
                to?: string;
                /** @description How many tests the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered. */
                page_size?: number;
                /** @description The `next_page_token` of the page before. */
                page_token?: string;
            };
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description When the tests of a namespace run by themselves. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Timetable"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    trigger_run: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Makes repeating safe: within 24 hours the same key with the same body gets the first answer again. A string in quotes (or bare), 1 to 255 visible ASCII characters.
                 * @example "8e03978e-40d5-43dd-bc93-6894a57f9324"
                 */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["TriggerRun"];
            };
        };
        responses: {
            /** @description The runs that one trigger made. */
            201: {
                headers: {
                    /** @description The path of what was created. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Triggered"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    list_runs: {
        parameters: {
            query?: {
                /** @description Runs of this test: its id or its name. */
                test?: string;
                /** @description Runs whose latest attempt is on this runner. */
                runner?: components["schemas"]["RunnerId"];
                /** @description Runs in this state. May be repeated. */
                state?: components["schemas"]["RunState"][];
                /** @description Runs with this result. May be repeated. */
                result?: components["schemas"]["RunResult"][];
                /** @description Runs that have this label: `key=value`. May be repeated; all must be there. */
                label?: string[];
                /** @description Runs that were made together. */
                matrix_id?: components["schemas"]["MatrixId"];
                /** @description Runs that are pinned, or are not. */
                kept?: boolean;
                /** @description Runs scheduled after this instant. */
                scheduled_after?: string;
                /** @description Runs scheduled before this instant. */
                scheduled_before?: string;
                /** @description Runs started after this instant. */
                started_after?: string;
                /** @description Runs started before this instant. */
                started_before?: string;
                /** @description Runs finished after this instant. */
                finished_after?: string;
                /** @description Runs finished before this instant. */
                finished_before?: string;
                /** @description How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered. */
                page_size?: number;
                /** @description The `next_page_token` of the page before. */
                page_token?: string;
            };
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of a list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RunPage"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_run: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description `wait=30` holds the answer back until the run has finished, at most so many seconds (up to 30). The answer then carries `Preference-Applied`.
                 * @example wait=30
                 */
                Prefer?: string;
            };
            path: {
                /** @description The id of the run. */
                run: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One requested execution of one cell of a test. */
            200: {
                headers: {
                    /** @description The preference that was honoured, for instance `wait=30`. */
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Run"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    cancel_run: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The id of the run. */
                run: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One requested execution of one cell of a test. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Run"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    retry_run: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Makes repeating safe: within 24 hours the same key with the same body gets the first answer again. A string in quotes (or bare), 1 to 255 visible ASCII characters.
                 * @example "8e03978e-40d5-43dd-bc93-6894a57f9324"
                 */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The id of the run. */
                run: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["RetryRun"];
            };
        };
        responses: {
            /** @description A run that was made like another. */
            201: {
                headers: {
                    /** @description The path of what was created. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Retried"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    retry_matrix: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Makes repeating safe: within 24 hours the same key with the same body gets the first answer again. A string in quotes (or bare), 1 to 255 visible ASCII characters.
                 * @example "8e03978e-40d5-43dd-bc93-6894a57f9324"
                 */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The id of the set. */
                matrix_id: components["schemas"]["MatrixId"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["RetryMatrix"];
            };
        };
        responses: {
            /** @description Runs that were made like others. */
            201: {
                headers: {
                    /** @description The path of what was created. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RetriedMatrix"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    keep_run: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The id of the run. */
                run: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["KeepRun"];
            };
        };
        responses: {
            /** @description One requested execution of one cell of a test. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Run"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    unkeep_run: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The id of the run. */
                run: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One requested execution of one cell of a test. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Run"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    list_run_events: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The id of the run. */
                run: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of a list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RunEventPage"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    watch_events: {
        parameters: {
            query: {
                /** @description The namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description About what, with commas between: `runs`, `tests`, `runners`, `queue`; everything unless said. */
                topics?: string;
            };
            header?: {
                /**
                 * @description The `id` of the last event that was heard: the stream goes on behind it.
                 * @example 7421-118-1767225600
                 */
                "Last-Event-ID"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The events. The schema is that of the data of one. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": components["schemas"]["Event"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    explain_run: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The id of the run. */
                run: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Why a run waits, what it does, or why it ended as it did. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Explanation"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    list_queue: {
        parameters: {
            query?: {
                /** @description How many items the page holds at most: 50 unless said, 100 at most; a larger wish is lowered. */
                page_size?: number;
                /** @description The `next_page_token` of the page before. */
                page_token?: string;
            };
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of a list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["QueueClassPage"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_run_logs: {
        parameters: {
            query?: {
                /** @description The attempt, from 1; the latest unless said. */
                attempt?: number;
                /** @description Only this stream. */
                stream?: components["schemas"]["Stream"];
                /** @description Only entries behind the one with this `seq`. */
                after?: number;
                /** @description At most so many entries, at least one. */
                limit?: number;
                /**
                 * @description From the last so many lines on, at most 10000: those that end last, each from its beginning. They are looked for
                 *     in the last 8 MiB. Without `after` and `limit`.
                 */
                tail?: number;
                /** @description Go on with what is still to come, until the attempt has ended. */
                follow?: boolean;
            };
            header?: {
                /**
                 * @description With `Accept: text/plain`: the one part of the bytes that is wanted (RFC 9110).
                 * @example bytes=1000-1999
                 */
                Range?: string;
            };
            path: {
                /** @description The id of the run. */
                run: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The log. Of JSON lines the schema is that of one line. */
            200: {
                headers: {
                    /** @description `bytes`, where parts can be asked for. */
                    "Accept-Ranges"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/x-ndjson": components["schemas"]["LogEntry"];
                    "text/plain": string;
                };
            };
            /** @description The part of the bytes that `Range` asked for. */
            206: {
                headers: {
                    /** @description Which part of how many bytes: `bytes 0-99/1234`. */
                    "Content-Range"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    list_artifacts: {
        parameters: {
            query?: {
                /** @description The attempt, from 1; the latest unless said. */
                attempt?: number;
            };
            header?: never;
            path: {
                /** @description The id of the run. */
                run: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The artifacts of one attempt of a run, by their paths. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ArtifactList"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_artifact: {
        parameters: {
            query?: {
                /** @description The attempt, from 1; the latest unless said. */
                attempt?: number;
                /** @description To be shown by a browser instead of saved. */
                view?: boolean;
            };
            header?: {
                /**
                 * @description The one part of the bytes that is wanted (RFC 9110).
                 * @example bytes=1000-1999
                 */
                Range?: string;
                /**
                 * @description The `ETag` that the client has; if the file is that one, the answer is 304.
                 * @example "3b1f…"
                 */
                "If-None-Match"?: string;
            };
            path: {
                /** @description The id of the run. */
                run: components["schemas"]["RunId"];
                /** @description The path of the file; its slashes may be escaped or not. */
                artifact: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The file. With `view` it has the media type that its name suggests. */
            200: {
                headers: {
                    /** @description The SHA-256 of the content, in quotes. */
                    ETag?: string;
                    /** @description `bytes`: parts can be asked for. */
                    "Accept-Ranges"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": string;
                    "text/plain": string;
                };
            };
            /** @description The part of the bytes that `Range` asked for. */
            206: {
                headers: {
                    /** @description Which part of how many bytes: `bytes 0-99/1234`. */
                    "Content-Range"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/octet-stream": string;
                };
            };
            /** @description The client has it already. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: components["responses"]["Problem"];
        };
    };
    get_results: {
        parameters: {
            query?: {
                /** @description The attempt, from 1; the latest unless said. */
                attempt?: number;
            };
            header?: never;
            path: {
                /** @description The id of the run. */
                run: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What the reports of an attempt say. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Results"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    list_run_cases: {
        parameters: {
            query?: {
                /** @description The attempt, from 1; the latest unless said. */
                attempt?: number;
                /** @description Cases that ended so. May be repeated. */
                status?: components["schemas"]["CaseStatus"][];
                /** @description Part of the name, the classname, the file or the suite. */
                q?: string;
                /** @description Cases that passed after an attempt that failed, or all others. */
                flaky?: boolean;
                /** @description How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered. */
                page_size?: number;
                /** @description The `next_page_token` of the page before. */
                page_token?: string;
            };
            header?: never;
            path: {
                /** @description The id of the run. */
                run: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of a list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CaseResultPage"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_run_case: {
        parameters: {
            query?: {
                /** @description The attempt, from 1; the latest unless said. */
                attempt?: number;
            };
            header?: never;
            path: {
                /** @description The id of the run. */
                run: components["schemas"]["RunId"];
                /** @description The id of the case. */
                case: components["schemas"]["CaseId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of a list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CaseDetailPage"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    export_report: {
        parameters: {
            query?: {
                /** @description The attempt, from 1; the latest unless said. */
                attempt?: number;
                /** @description The format; JUnit XML unless said. */
                format?: components["schemas"]["Format"];
            };
            header?: never;
            path: {
                /** @description The id of the run. */
                run: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The report, in the format that was asked for. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/xml": string;
                    "application/json": string;
                    "text/plain": string;
                    "application/jsonl": string;
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    list_states: {
        parameters: {
            query?: {
                /** @description How many items the page holds at most: 10000 unless said; a larger wish is lowered. */
                page_size?: number;
                /** @description The `next_page_token` of the page before. */
                page_token?: string;
            };
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of a list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TestStatePage"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    list_test_cells: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of a list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CellStatePage"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    list_cases: {
        parameters: {
            query?: {
                /** @description Cases in this cell: `key=value`. Repeated for each label of the cell. */
                cell?: string[];
                /** @description Cases that stand so. May be repeated. */
                standing?: components["schemas"]["Standing"][];
                /** @description Healthy, flaky or broken ones. May be repeated. */
                status?: components["schemas"]["Status"][];
                /** @description Part of the name, the classname, the file or the suite. */
                q?: string;
                /** @description Those first that took longest. */
                slowest?: boolean;
                /** @description How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered. */
                page_size?: number;
                /** @description The `next_page_token` of the page before. */
                page_token?: string;
            };
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of a list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CaseStatePage"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_case: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
                /** @description The id of the case. */
                case: components["schemas"]["CaseId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of a list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CaseStatePage"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    list_case_history: {
        parameters: {
            query?: {
                /** @description Runs of this cell: `key=value`. Repeated for each label of the cell. */
                cell?: string[];
                /** @description How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered. */
                page_size?: number;
                /** @description The `next_page_token` of the page before. */
                page_token?: string;
            };
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
                /** @description The id of the case. */
                case: components["schemas"]["CaseId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of a list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CaseRunPage"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_test_grid: {
        parameters: {
            query?: {
                /** @description Runs of this cell: `key=value`. Repeated for each label of the cell. */
                cell?: string[];
                /** @description How many cases: 50 unless said, 200 at most; a larger wish is lowered. */
                cases?: number;
                /** @description How many of the latest runs: 60 unless said, and at most; a larger wish is lowered. */
                runs?: number;
            };
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The cases of a test over its latest runs. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TestGrid"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_run_changes: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The id of the run. */
                run: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What a run changed among the cases of its cell. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RunChanges"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    list_quarantine: {
        parameters: {
            query?: {
                /** @description Entries that hold now, or the others. */
                in_force?: boolean;
                /** @description How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered. */
                page_size?: number;
                /** @description The `next_page_token` of the page before. */
                page_token?: string;
            };
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of a list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["QuarantineEntryPage"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    put_quarantine: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
                /** @description The id of the case. */
                case: components["schemas"]["CaseId"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PutQuarantine"];
            };
        };
        responses: {
            /** @description A case in quarantine, or one that was. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["QuarantineEntry"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    delete_quarantine: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
                /** @description The id of the case. */
                case: components["schemas"]["CaseId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description no content */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            default: components["responses"]["Problem"];
        };
    };
    upload_results: {
        parameters: {
            query?: {
                /** @description A label of the cell that was run: `key=value`. May be repeated; a test with a matrix needs all of a cell. */
                cell?: string[];
                /** @description A label that overrides those of the test and of the cell: `key=value`. May be repeated. */
                label?: string[];
                /** @description What the program that wrote the report came to, `pass` or `fail`; `pass` unless said. A failed case fails it. */
                result?: components["schemas"]["RunResult"];
                /** @description The name of the file, by which its format is found; its first bytes tell it otherwise. */
                name?: string;
                /** @description When it began; as long before its end as the report says it took, unless said. */
                started_at?: string;
                /** @description When it ended; now unless said. */
                finished_at?: string;
                /** @description The version of what was tested. */
                revision?: string;
            };
            header?: {
                /**
                 * @description Makes repeating safe: within 24 hours the same key with the same body gets the first answer again. A string in quotes (or bare), 1 to 255 visible ASCII characters.
                 * @example "8e03978e-40d5-43dd-bc93-6894a57f9324"
                 */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/octet-stream": unknown;
                "application/xml": unknown;
                "text/xml": unknown;
                "application/json": unknown;
                "text/plain": unknown;
            };
        };
        responses: {
            /** @description One requested execution of one cell of a test. */
            201: {
                headers: {
                    /** @description The path of what was created. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Run"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_what_changed: {
        parameters: {
            query?: {
                /** @description In this cell: `key=value`. Repeated for each label of the cell. */
                cell?: string[];
                /** @description Of this case instead of the whole test. */
                case?: components["schemas"]["CaseId"];
            };
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What changed between the last pass and the first failure after it. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WhatChanged"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    list_failure_groups: {
        parameters: {
            query?: {
                /** @description Runs that ended in the last so many days: 14 unless said, from 1 to 90. */
                days?: number;
            };
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The failures of a test, grouped by what they say. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["FailureGroups"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    analyse_test: {
        parameters: {
            query?: {
                /** @description Runs that ended in the last so many days: 14 unless said, from 1 to 90. */
                days?: number;
            };
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
                /** @description The test: its id or its name. */
                test: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What the recent runs of a test say of causes. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TestAnalysis"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_summary: {
        parameters: {
            query?: {
                /** @description Runs scheduled from the interval of this instant on; the last seven days unless it is given. */
                scheduled_after?: string;
                /** @description Runs scheduled up to the end of the interval that this instant is in; now unless it is given. */
                scheduled_before?: string;
                /** @description How long the intervals are; a day unless it is given. */
                interval?: components["schemas"]["Interval"];
                /** @description The runs of this test only: its id or its name. */
                test?: string;
            };
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description How the runs of a namespace went. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Summary"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    rebuild_summary: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["RebuildSummary"];
            };
        };
        responses: {
            /** @description What a call to rebuild the sums has done. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Rebuilt"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_run_output: {
        parameters: {
            query?: {
                /** @description The attempt, from 1; the latest unless said. */
                attempt?: number;
            };
            header?: never;
            path: {
                /** @description The id of the run. */
                run: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What one attempt of a run said about itself. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AttemptOutput"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    compare_runs: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The id of the one run. */
                run: components["schemas"]["RunId"];
                /** @description The id of the other run. */
                other: components["schemas"]["RunId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description How two runs differ. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Comparison"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    list_runners: {
        parameters: {
            query?: {
                /** @description How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered. */
                page_size?: number;
                /** @description The `next_page_token` of the page before. */
                page_token?: string;
            };
            header?: never;
            path: {
                /** @description The name of the namespace. */
                namespace: components["schemas"]["Namespace"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of a list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RunnerPage"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_runner: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The id of the runner. */
                runner: components["schemas"]["RunnerId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A registered runner. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Runner"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    drain_runner: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The id of the runner. */
                runner: components["schemas"]["RunnerId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A registered runner. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Runner"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    resume_runner: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The id of the runner. */
                runner: components["schemas"]["RunnerId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A registered runner. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Runner"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    list_tokens: {
        parameters: {
            query?: {
                /** @description Also those that have expired. */
                include_expired?: boolean;
                /** @description Also those that were revoked. */
                include_revoked?: boolean;
                /** @description How many items the page holds at most: 50 unless said, 1000 at most; a larger wish is lowered. */
                page_size?: number;
                /** @description The `next_page_token` of the page before. */
                page_token?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of a list. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TokenPage"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    issue_token: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Makes repeating safe: within 24 hours the same key with the same body gets the first answer again. A string in quotes (or bare), 1 to 255 visible ASCII characters.
                 * @example "8e03978e-40d5-43dd-bc93-6894a57f9324"
                 */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewToken"];
            };
        };
        responses: {
            /** @description A new token with its secret, which is shown this once. */
            201: {
                headers: {
                    /** @description The path of what was created. */
                    Location?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IssuedToken"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_token: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The id of the token. */
                token: components["schemas"]["TokenId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What is known of a token; never the token itself. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Token"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    revoke_token: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The id of the token. */
                token: components["schemas"]["TokenId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What is known of a token; never the token itself. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Token"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_openapi: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description An OpenAPI 3.1 document. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_test_schema: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A JSON Schema. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/schema+json": Record<string, never>;
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_livez: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The health of the server. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_readyz: {
        parameters: {
            query?: {
                /** @description Tell what was looked at. */
                verbose?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The health of the server. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_version: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The version of the server. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Version"];
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_metrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The metrics. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            default: components["responses"]["Problem"];
        };
    };
    get_docs: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A web page that needs nothing from elsewhere. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/html": string;
                };
            };
            default: components["responses"]["Problem"];
        };
    };
}
