package example;

import org.junit.Ignore;
import org.junit.Test;

/** Skipped as a whole. */
@Ignore("all of it")
public class SkippedTest {
    @Test public void one() {}
    @Test public void two() {}
}
