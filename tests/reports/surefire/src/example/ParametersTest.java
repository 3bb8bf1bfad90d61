package example;

import static org.junit.Assert.assertTrue;

import java.util.Arrays;
import java.util.List;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.junit.runners.Parameterized;

/** Names with what was given. */
@RunWith(Parameterized.class)
public class ParametersTest {
    @Parameterized.Parameters(name = "{0}")
    public static List<Object> all() { return Arrays.asList("a", "a b", "<&\">", "ä\u2603", "bad"); }

    @Parameterized.Parameter public String given;

    @Test public void isGood() { assertTrue(!given.equals("bad")); }
}
